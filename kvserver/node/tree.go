package node

import "path"

// Tree is a folder with all below it, named below a folder that stays.
type Tree struct {
	Dir string `json:"dir"`
	// Name has one element or two, "member" or "member/wal"; three where it was moved aside, ".aside/<time>/member". The
	// first of several may begin with a dot.
	Name string `json:"name"`
}

// Path of the tree.
func (t Tree) Path() string { return path.Join(t.Dir, t.Name) }

// Copy is where a copy of a tree lies, beside the name that it is to have, while it is made; Whole is where it
// lies once it is durable and was compared, and nothing but its name is missing.
func (t Tree) Copy() string  { return t.beside(".quorate-copy") }
func (t Tree) Whole() string { return t.beside(".quorate-copied") }

func (t Tree) beside(suffix string) string {
	dir, name := path.Split(t.Path())
	return path.Join(dir, "."+name+suffix)
}
