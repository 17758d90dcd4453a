package plan_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"quorate/kvserver/node"
	"quorate/pki"
	"quorate/plan"
)

// TestEditedPlan: whoever can write the file of a plan cannot have anything else carried out, or shown.
func TestEditedPlan(t *testing.T) {
	t.Parallel()
	step := func(p *plan.Plan, k plan.Kind) *plan.Step {
		return &p.Steps[slices.IndexFunc(p.Steps, func(s plan.Step) bool { return s.Kind == k })]
	}
	for name, edit := range map[string]func(*plan.Plan){
		"a setuid program among the files": func(p *plan.Plan) {
			f := step(p, plan.KindFiles).Action.(*plan.Files)
			f.Files = append(f.Files, plan.WriteFile{Path: "/usr/local/bin/x", Mode: 0o4755, Owner: "root:root", Content: "#!/bin/sh"})
		},
		"another helper": func(p *plan.Plan) { step(p, plan.KindCertificate).Action.(*plan.Certificates).Helper = "/tmp/x" },
		"another name in a certificate": func(p *plan.Plan) {
			c := step(p, plan.KindCertificate).Action.(*plan.Certificates)
			c.Issue[0].Request.SANs = append(c.Issue[0].Request.SANs, "vault.corp.example")
		},
		"a certificate for somebody else": func(p *plan.Plan) {
			p.Steps = append(p.Steps, plan.Step{ID: "client x", Kind: plan.KindClient, Title: "record on etcd1", Action: &plan.IssueClient{
				Name: "x", Dir: "/tmp", Certificate: plan.Certificate{Algorithm: "ed25519", Request: pki.Request{Profile: pki.Server, CommonName: "vault", Lifetime: 10 * 365 * 24 * time.Hour}}}})
		},
		"a removal on this side": func(p *plan.Plan) {
			p.Steps = append(p.Steps, plan.Step{ID: "forget", Kind: plan.KindForget, Title: "record on etcd1", Action: &plan.Forget{Files: []string{"/etc/passwd"}}})
		},
		"another folder for the CA": func(p *plan.Plan) { step(p, plan.KindCA).Action.(*plan.CreateCA).Dir = "/tmp/ca" },
		"a title":                   func(p *plan.Plan) { p.Steps[0].Title = "nothing of importance" },
		"a step less":               func(p *plan.Plan) { p.Steps = p.Steps[:len(p.Steps)-1] },
		"another order": func(p *plan.Plan) {
			p.Steps[1], p.Steps[2] = p.Steps[2], p.Steps[1]
		},
		"another token":   func(p *plan.Plan) { p.Token = "mine" },
		"another cluster": func(p *plan.Plan) { p.Cluster = "other" },
		"the voters":      func(p *plan.Plan) { p.Before.Healthy = 3 },
		"what was seen": func(p *plan.Plan) {
			p.Observed[0].Value = "another CA"
			p.ObservedDigest = plan.FactsDigest(p.Observed)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := bare(cluster(t, 3))
			p, err := plan.Build(w.spec, w.obs, options())
			if err != nil {
				t.Fatal(err)
			}
			edit(p)
			if _, err := p.Again(w.spec, w.obs); err == nil || strings.Contains(err.Error(), "/etc/passwd") {
				t.Errorf("made again: %v", err)
			}
		})
	}
}

// TestSavedPlanOfAMove: data grows while a plan waits to be applied, and that is no other plan; another file
// system under the folder is one.
func TestSavedPlanOfAMove(t *testing.T) {
	t.Parallel()
	w := bare(cluster(t, 3))
	if err := w.settle(); err != nil {
		t.Fatal(err)
	}
	respec(t, w, []string{"dirs", "/srv/etcd"})
	h := w.obs.Hosts["etcd2"]
	h.Mounts["/srv/etcd"] = node.MountState{Known: true, Point: "/srv"}
	h.Former.Moves[0].Bytes = 10 << 20
	p, err := plan.Build(w.spec, w.obs, options())
	if err != nil {
		t.Fatal(err)
	}
	b, err := p.Encode()
	if err != nil {
		t.Fatal(err)
	}
	saved, err := plan.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	h.Former.Moves[0].Bytes = 12 << 20
	if _, err := saved.Again(w.spec, w.obs); err != nil {
		t.Errorf("with more data: %v", err)
	}
	h.Mounts["/srv/etcd"] = node.MountState{Known: true, Point: "/"}
	if _, err := saved.Again(w.spec, w.obs); err == nil {
		t.Error("what was to be copied is renamed, and the plan is the same")
	}
}
