package peertest_test

import (
	"os"
	"testing"

	"github.com/towpath/towpath/internal/towpathtest/ocitest"
	"github.com/towpath/towpath/internal/towpathtest/peertest"
)

// TestStart runs each peer: what is pushed to it can be pulled, and lies in its
// folder.
func TestStart(t *testing.T) {
	for _, p := range []peertest.Peer{peertest.Distribution(), peertest.Olareg()} {
		t.Run(p.Name, func(t *testing.T) {
			r := peertest.Start(t, p)
			c := ocitest.NewClient(t, ocitest.Target{URL: r.URL, Repository: "shop/tested"})
			d := c.Push("latest", c.Manifest())
			a := c.Expect(c.Do("GET", c.Repo("manifests/latest"), nil, "Accept", ocitest.TypeManifest), 200)
			if ocitest.Sha256(a.Body) != d {
				t.Errorf("pulled %s, want %s", ocitest.Sha256(a.Body), d)
			}
			if files, err := os.ReadDir(r.Data); err != nil || len(files) == 0 {
				t.Errorf("its folder holds %v, %v", files, err)
			}
			if now, peak := peertest.Memory(t, r.PID); now < 1<<20 || peak < now {
				t.Errorf("it holds %d bytes, and never more than %d", now, peak)
			}
			r.Stop()
			if _, err := c.Try("GET", c.Repo("tags/list"), nil); err == nil {
				t.Error("it answers after it was stopped")
			}
		})
	}
}
