package provision

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/provision/host"
)

// Disks looks at the data on each host for a recovery: how far its log goes, and, where nobody runs, whether all of it can be
// read. It takes as long as the slowest disk does for all that it holds. What cannot be found out is in the answers.
func (s *Session) Disks(ctx context.Context, o *plan.Observed) (map[string]plan.DiskSeen, error) {
	out := map[string]plan.DiskSeen{}
	var mu sync.Mutex
	parallel(len(s.cluster.Members), func(i int) {
		name := s.cluster.Members[i].Name
		seen := s.disk(ctx, name, o)
		mu.Lock()
		defer mu.Unlock()
		out[name] = seen
	})
	return out, context.Cause(ctx)
}

func (s *Session) disk(ctx context.Context, member string, o *plan.Observed) (out plan.DiskSeen) {
	seen := o.Hosts[member]
	if seen.Problem != "" || !seen.Data.Member && !seen.WAL.Member {
		return plan.DiskSeen{Problem: seen.Problem}
	}
	i, err := s.inspect(ctx, member)
	switch {
	case err == nil:
		out.Inspection = i
	case seen.Disk != nil: // what the look has read is not all of it
		known := *seen.Disk
		known.Problems = append([]string{fmt.Sprintf("not all of it was read: %v", err)}, known.Problems...)
		return plan.DiskSeen{Inspection: &known}
	default:
		return plan.DiskSeen{Problem: fmt.Sprintf("its data could not be read: %v", err)}
	}
	if !i.Running || o.Cluster.Answers[member].Status == nil { // who has not had a leader since its start answers nobody
		return out
	}
	admin, err := s.Admin(ctx)
	if err != nil {
		return out
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if lists, err := admin.MembersLocal(ctx, member); err == nil { // else what it would have told is seen once it is stopped
		out.Lists = lists
	}
	if st, err := admin.Status(ctx, member); err == nil { // the look was a while ago
		out.Led = st.Leader != 0
	}
	return out
}

// inspect has kvserver read all of a member's data. Whoever says nothing for [host.Quiet] is not waited for.
func (s *Session) inspect(ctx context.Context, member string) (*kvserver.Inspection, error) {
	h, err := s.Host(ctx, member)
	if err != nil {
		return nil, err
	}
	l := s.layout[member]
	argv := []string{l.KVServer, "inspect", "--check", "--data-dir", l.Data}
	if l.WAL != "" {
		argv = append(argv, "--wal-dir", l.WALFiles)
	}
	var i *kvserver.Inspection
	_, err = h.Run(ctx, host.Command{Argv: argv, Line: func(text string) {
		var said kvserver.Inspection
		if json.Unmarshal([]byte(text), &said) == nil && said.DataDir == l.Data {
			i = &said
		}
	}})
	if err == nil && i == nil {
		err = fmt.Errorf("kvserver ended without saying what is there")
	}
	return i, err
}
