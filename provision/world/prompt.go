package world

import "sync"

// remember asks one question at a time, and the same question once: three
// hosts that want the same key's passphrase are one question to a person.
// What was answered stays in memory for the run. Nil stays nil.
func remember(ask func(string, bool) (string, error)) func(string, bool) (string, error) {
	if ask == nil {
		return nil
	}
	var mu sync.Mutex
	type answer struct {
		text string
		err  error
	}
	known := map[string]answer{}
	return func(question string, fresh bool) (string, error) {
		mu.Lock()
		defer mu.Unlock()
		if a, ok := known[question]; ok && !fresh {
			return a.text, a.err
		}
		text, err := ask(question, fresh)
		if !fresh {
			known[question] = answer{text, err}
		}
		return text, err
	}
}
