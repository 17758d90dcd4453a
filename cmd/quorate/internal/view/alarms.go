package view

import (
	"io"

	"quorate/kvserver"
	"quorate/plan"
	"quorate/plan/spec"
)

// Alarms are those that stand in a cluster. It is also the JSON of `alarm list`: names there do not change their meaning.
type Alarms struct {
	Cluster string `json:"cluster"`
	// Known: a member could be asked.
	Known  bool          `json:"known"`
	Alarms []RaisedAlarm `json:"alarms"`
}

// RaisedAlarm is one of them, with what the member that raised it says of its database.
type RaisedAlarm struct {
	Alarm string `json:"alarm"`    // NOSPACE, CORRUPT
	Name  string `json:"name"`     // of the member; "" for one that the cluster does not list any more
	ID    string `json:"id"`       // hex
	Size  int64  `json:"db_size"`  // bytes; 0: it does not say
	Quota int64  `json:"db_quota"` // bytes; 0: it does not say
}

// AlarmsOf puts an observation into words, in the order in which the cluster lists them.
func AlarmsOf(c *spec.Cluster, o *plan.Observed) Alarms {
	out := Alarms{Cluster: c.Name, Known: o.Cluster.Storage != nil, Alarms: []RaisedAlarm{}}
	if !out.Known {
		return out
	}
	listed := plan.TakeCensus(c, o).Membership.Members()
	for _, a := range o.Cluster.Storage.Alarms {
		r := RaisedAlarm{Alarm: a.Kind, ID: kvserver.ID(a.Member)}
		for _, l := range listed {
			if l.ID != a.Member {
				continue
			}
			r.Name = l.Label()
			says := o.Cluster.Strangers[l.ID].Answer
			if l.Spec != "" {
				says = o.Cluster.Answers[l.Spec]
			}
			if says.Status != nil {
				r.Size, r.Quota = says.Status.DBSize, says.Status.DBQuota
			}
		}
		out.Alarms = append(out.Alarms, r)
	}
	return out
}

// AlarmsText draws them for people.
func AlarmsText(w io.Writer, a Alarms, o Options) error {
	d := &paper{w: w, o: o}
	switch {
	case !a.Known:
		d.line("%s", d.paint(yellow, "cluster "+a.Cluster+": no member could be asked for its alarms"))
		return d.err
	case len(a.Alarms) == 0:
		d.line("%s", d.paint(green, "cluster "+a.Cluster+": no alarm stands"))
		return d.err
	}
	d.line("%s", d.paint(bold, "cluster "+a.Cluster))
	var rows [][]string
	for _, r := range a.Alarms {
		size, quota := "-", "-"
		if r.Size > 0 {
			size = plan.Bytes(r.Size)
		}
		if r.Quota > 0 {
			quota = plan.Bytes(r.Quota)
		}
		rows = append(rows, []string{r.Alarm, or(r.Name), r.ID, size, quota})
	}
	d.columns("  ", []string{"ALARM", "MEMBER", "ID", "DATABASE", "QUOTA"}, rows)
	return d.err
}
