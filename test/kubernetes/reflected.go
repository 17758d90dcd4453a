package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"k8s.io/apiserver/pkg/apis/example"
)

// reflected is the store of a reflector, as an informer has one, that notes what goes backwards.
type reflected struct {
	mu        sync.Mutex
	version   uint64
	have      map[string]Object
	backwards []string
}

func (r *reflected) state() (List, []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return List{r.version, maps.Clone(r.have)}, slices.Clone(r.backwards)
}

// event is a change that the watch gave: it is newer than all that was there.
func (r *reflected) event(what string, o any, keep bool) error {
	pod, ok := o.(*example.Pod)
	if !ok {
		return fmt.Errorf("%T is no pod", o)
	}
	got, err := objectOf(pod)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if got.Version <= r.version {
		r.backwards = append(r.backwards, fmt.Sprintf("%s of %s at %d after %d", what, pod.Name, got.Version, r.version))
	}
	r.version = max(r.version, got.Version)
	delete(r.have, pod.Name)
	if keep {
		r.have[pod.Name] = got
	}
	return nil
}

// Add is called for a new object, Update for a changed one, and Delete for one that is gone.
func (r *reflected) Add(o any) error    { return r.event("addition", o, true) }
func (r *reflected) Update(o any) error { return r.event("change", o, true) }
func (r *reflected) Delete(o any) error { return r.event("deletion", o, false) }

// Resync is called now and then where that was asked for.
func (r *reflected) Resync() error { return nil }

// Replace is called with what was listed.
func (r *reflected) Replace(all []any, version string) error {
	v, err := strconv.ParseUint(version, 10, 64)
	if err != nil {
		return err
	}
	have := map[string]Object{}
	for _, o := range all {
		pod, ok := o.(*example.Pod)
		if !ok {
			return fmt.Errorf("%T is no pod", o)
		}
		if have[pod.Name], err = objectOf(pod); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if v < r.version {
		r.backwards = append(r.backwards, fmt.Sprintf("a list at %d after %d", v, r.version))
	}
	r.version, r.have = max(r.version, v), have
	return nil
}
