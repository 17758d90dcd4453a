package snapshot

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"quorate/kvserver"
	"quorate/kvserver/servertest"
)

// A real member, written to meanwhile and compacted: the hash of the file is the member's own.
func TestSaveARealMember(t *testing.T) {
	t.Parallel()
	c := servertest.New(t, 1)
	c.Start()
	m := c.Members[0]
	ctx, cancel := context.WithTimeout(t.Context(), servertest.Wait)
	defer cancel()
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{m.Endpoint().Address}, TLS: c.TLS(), Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for i := range 200 {
		if _, err := client.Put(ctx, fmt.Sprintf("k%d", i%50), fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := client.Delete(ctx, "k7"); err != nil {
		t.Fatal(err)
	}
	lease, err := client.Grant(ctx, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Put(ctx, "leased", "x", clientv3.WithLease(lease.ID)); err != nil {
		t.Fatal(err)
	}
	c.ClientTLS("quorate")
	at := func(name string) string { return filepath.Join(c.Dir, "clients", name) }
	r := kvserver.BackupRequest{
		Dir: filepath.Join(t.TempDir(), "backups"), Cluster: "lab", Member: m.Name, Address: m.Endpoint().Address,
		CA: filepath.Join(m.Dir, "ca.pem"), Cert: at("quorate.pem"), Key: at("quorate-key.pem"),
	}
	save := func(keys int64) {
		t.Helper()
		b, err := Save(ctx, r, Options{Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		if b.Compared.Result != kvserver.Agreed || b.Keys != keys || len(b.Content.Members) != 1 || b.Content.Leases != 1 || b.Content.Revision != b.Hash.Revision {
			t.Errorf("%+v", b)
		}
		if _, err := Verify(ctx, filepath.Join(r.Dir, b.Name), VerifyOptions{}); err != nil {
			t.Error(err)
		}
	}
	save(50)
	if _, err := client.Compact(ctx, 150, clientv3.WithCompactPhysical()); err != nil {
		t.Fatal(err)
	}
	save(50)
	// What is written while it is taken is not in it, and does not keep it from being compared.
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				_, _ = client.Put(ctx, "busy", fmt.Sprint(i))
			}
		}
	}()
	servertest.Until(t, "somebody writes", func(ctx context.Context) error {
		r, err := client.Get(ctx, "busy")
		if err == nil && r.Count == 0 {
			err = fmt.Errorf("nobody has yet")
		}
		return err
	})
	save(51)
	close(stop)
	<-done
}
