package plan

// KindUnrecord takes away what was noted down of the cluster on the operator's side.
const KindUnrecord Kind = "unrecord"

// Unrecord deletes cluster.json before a destroy touches any host: cut after
// that, the hosts still say what they are, and a destroy that has emptied them
// is not mistaken for a cluster that is gone. Holds afterwards: the file is not there.
type Unrecord struct {
	quiet
	Path string `json:"path"`
}

// Kind of the step.
func (*Unrecord) Kind() Kind { return KindUnrecord }

// Phase of the step: before everything else.
func (*Unrecord) Phase() Phase { return PhasePrepare }

// Describe names the file.
func (a *Unrecord) Describe() Description {
	return Description{Sign: Gone, Items: []Item{{Path: a.Path, Sign: Gone, Problem: "removed"}}}
}

func (b *builder) unrecord() {
	if b.obs.Recorded == nil || b.opt.Forget || len(b.acting()) == 0 {
		return
	}
	b.add(draft{Step: Step{Title: "take away what was noted down of the cluster", Action: &Unrecord{Path: b.recordedFile()}}})
}
