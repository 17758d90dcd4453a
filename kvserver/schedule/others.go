package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"quorate/kvserver"
	"quorate/kvserver/admin"
	"quorate/kvserver/node"
	"quorate/kvserver/snapshot"
)

// askTime bounds one question to a member. etcd gives a linearizable read up to seven seconds.
const askTime = 10 * time.Second

// others says why this host's member takes no backup: as many healthy voters as there are to be copies have lower ids, or it does
// not vote. "" is that it takes one. Who does not answer with a linearizable read in time is not healthy: so one whose members
// cannot be reached takes one too many, not one too few. While members hold different data nobody does, since
// what is kept might be pushed out by what is wrong.
func (t *turn) others(ctx context.Context) (string, error) {
	client, err := snapshot.Client(t.BackupRequest)
	if err != nil {
		return "", err
	}
	defer client.Close()
	own, members, err := t.look(ctx, client)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(members, func(m kvserver.Member) bool { return m.ID == own.MemberID })
	switch {
	case i < 0:
		return "", fmt.Errorf("the cluster does not list member %q (%s)", t.Member, kvserver.ID(own.MemberID))
	case members[i].Learner:
		return fmt.Sprintf("%s is a learner, and may be behind the voters", t.Member), nil
	}
	lower := slices.DeleteFunc(members[:i:i], func(m kvserver.Member) bool { return m.Learner }) // they come in the order of their ids
	statuses := t.ask(ctx, lower)
	var healthy []string
	for k, st := range append(statuses, &own) {
		if st == nil {
			continue
		}
		if slices.Contains(st.Alarms, kvserver.AlarmCorrupt) {
			return "", errors.New("the alarm CORRUPT stands: members hold different data, and nobody but the operator can say which is to be kept; see `quorate status --hash`")
		}
		if k < len(lower) {
			healthy = append(healthy, lower[k].Name)
		}
	}
	if len(healthy) < t.Copies {
		return "", nil
	}
	healthy = healthy[:t.Copies]
	return fmt.Sprintf("it is left to %s, with lower ids", strings.Join(healthy, ", ")), nil
}

// look asks this host's member who it is, and who the members are.
func (t *turn) look(ctx context.Context, client *admin.Client) (kvserver.Status, []kvserver.Member, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	own, err := client.Status(ctx, t.Member)
	if err != nil {
		return own, nil, err
	}
	members, err := client.Members(ctx, t.Member)
	return own, members, err
}

// ask asks members for their status, all at once; nil is of one that is not healthy.
func (t *turn) ask(ctx context.Context, members []kvserver.Member) []*kvserver.Status {
	out := make([]*kvserver.Status, len(members))
	var endpoints []admin.Endpoint
	for _, m := range members {
		endpoints = append(endpoints, admin.Endpoint{Name: kvserver.ID(m.ID), Address: address(m)})
	}
	client, err := snapshot.Client(t.BackupRequest, endpoints...)
	if err != nil {
		return out
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	var wg sync.WaitGroup
	for i, e := range endpoints {
		if e.Address == "" {
			continue // it has never served
		}
		wg.Go(func() {
			st, err := client.Status(ctx, e.Name)
			if err == nil && st.Leader != 0 && client.Health(ctx, e.Name) == nil {
				out[i] = &st
			}
		})
	}
	wg.Wait()
	return out
}

// address is where a member serves clients; "" where it says nothing of that.
func address(m kvserver.Member) string {
	host, port := node.HostPortOf(m.ClientURLs)
	if host == "" {
		return ""
	}
	return node.HostPort(host, port)
}
