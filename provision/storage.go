package provision

import (
	"context"
	"fmt"

	"quorate/plan"
)

// Storage asks a voter that serves what stands for the whole cluster: the alarms, and how far the keys are compacted. Observed
// is left without it where no voter does. How far they are compacted stays unknown where nobody may say: without the
// right to read, or while CORRUPT stands.
func (s *Session) Storage(ctx context.Context, o *plan.Observed) error {
	via := ""
	for _, m := range s.cluster.Members {
		if a := o.Cluster.Answers[m.Name]; via == "" && a.Asked == plan.Answered && a.Members != nil {
			via = m.Name
		}
	}
	if via == "" {
		return nil
	}
	admin, err := s.Admin(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	alarms, err := admin.Alarms(ctx, via)
	if err != nil {
		return fmt.Errorf("cannot ask cluster %q for its alarms: %w", s.cluster.Name, err)
	}
	o.Cluster.Storage = &plan.Storage{Alarms: alarms}
	if compacted, err := admin.Compacted(ctx, via); err == nil {
		o.Cluster.Storage.Compacted = compacted
	}
	return nil
}
