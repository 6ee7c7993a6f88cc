package stories_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/towpath/towpath/examples"
	nouns "github.com/towpath/towpath/internal/towpath"
)

// BenchmarkRollback is how long users are hurt: canaries that get 24 requests a
// second and fail half of them, judged every second. An iteration is one of
// them, from the first failed answer that a client got until the last one and
// all of the traffic is back; p95 is of all iterations.
func BenchmarkRollback(b *testing.B) {
	w := newBenchShop(b)
	var hurt, detect, restore []time.Duration
	b.ResetTimer()
	for i := range b.N {
		stop := w.load(120)
		w.commit(fmt.Sprintf("api/VERSION=2.0.%d", i), "api/behaviour/fail-some=")
		d := w.wentBack(i)
		first, last := stop()
		if first.IsZero() || d.Recovery == nil {
			b.Fatalf("nothing failed, or nothing was found out: %+v", d)
		}
		if d.Recovery.Restored.After(last) {
			last = d.Recovery.Restored
		}
		hurt = append(hurt, last.Sub(first))
		detect, restore = append(detect, d.Recovery.ToDetect()), append(restore, d.Recovery.ToRestore())
		w.towpath("unhold", "dev", "--reason", "the next one")
	}
	p95 := func(all []time.Duration) float64 {
		slices.Sort(all)
		return all[(len(all)*95+99)/100-1].Seconds()
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(p95(hurt), "p95-hurt-s")
	b.ReportMetric(hurt[len(hurt)/2].Seconds(), "p50-hurt-s")
	b.ReportMetric(p95(detect), "p95-detect-s")
	b.ReportMetric(p95(restore), "p95-restore-s")
}

// benchShop is the sample project with a canary, served by `towpath dev`.
type benchShop struct {
	b     *testing.B
	dir   string
	cache string // of the compiler
	url   string
}

func newBenchShop(b *testing.B) *benchShop {
	b.Helper()
	w := &benchShop{b: b, dir: filepath.Join(b.TempDir(), "shop")}
	cache, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		b.Fatal(err)
	}
	w.cache = strings.TrimSpace(string(cache))
	b.Cleanup(func() { stopAll(w.dir) })
	if err := os.Mkdir(w.dir, 0o755); err != nil {
		b.Fatal(err)
	}
	if err := examples.Write(examples.Shop, w.dir); err != nil {
		b.Fatal(err)
	}
	w.edit("towpath.yaml", "    path: api", "    path: api\n    rollout: {strategy: canary, interval: 1s, steps: [{weight: 20, for: 1h}]}")
	w.edit("towpath.yaml", "project: shop", "project: shop\nobjectives:\n  - {name: errors, kind: errors, target: 0.99, critical: true}")
	for _, line := range []string{"init --quiet --initial-branch=dev", "config user.name Ana", "config user.email ana@example.com"} {
		w.run("git", strings.Fields(line)...)
	}
	w.commit("api/VERSION=1.0.0")
	cmd := exec.Command("towpath", "dev", "--listen", "127.0.0.1:0")
	cmd.Dir, cmd.Env = w.dir, w.env()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	w.until("dev runs", func() bool {
		var doc struct {
			Environments []struct {
				Phase      string
				Components []struct{ Component, Address string }
			}
		}
		out, err := w.try("towpath", "status", "dev", "-o", "json")
		if err != nil || json.Unmarshal(out, &doc) != nil || len(doc.Environments) != 1 || doc.Environments[0].Phase != "healthy" {
			return false
		}
		for _, c := range doc.Environments[0].Components {
			if c.Component == "api" {
				w.url = "http://" + c.Address + "/"
			}
		}
		return w.url != ""
	})
	return w
}

func (w *benchShop) env() []string {
	return append(os.Environ(), "NO_COLOR=1", "HOME="+w.dir, "XDG_STATE_HOME="+w.dir+"-state", "GOCACHE="+w.cache)
}

func (w *benchShop) try(name string, args ...string) ([]byte, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = w.dir, w.env()
	return cmd.Output()
}

func (w *benchShop) run(name string, args ...string) {
	w.b.Helper()
	if out, err := w.try(name, args...); err != nil {
		w.b.Fatalf("%s %s: %v %s", name, args, err, out)
	}
}

func (w *benchShop) towpath(args ...string) { w.b.Helper(); w.run("towpath", args...) }

func (w *benchShop) edit(file, from, to string) {
	w.b.Helper()
	path := filepath.Join(w.dir, file)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), from) {
		w.b.Fatalf("%s has no %q: %v", file, from, err)
	}
	if err := os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600); err != nil {
		w.b.Fatal(err)
	}
}

// commit writes files, NAME=CONTENT each, and commits all there is.
func (w *benchShop) commit(files ...string) {
	w.b.Helper()
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content+"\n"), 0o600); err != nil {
			w.b.Fatal(err)
		}
	}
	w.run("git", "add", ".")
	w.run("git", "commit", "--quiet", "-m", "Change")
}

func (w *benchShop) until(what string, ok func() bool) {
	w.b.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(2 * time.Minute)
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			w.b.Fatalf("waited in vain until %s", what)
		}
	}
}

// wentBack waits until so many deployments and one more have gone back by
// themselves, and gives the last one.
func (w *benchShop) wentBack(before int) (last nouns.Deployment) {
	w.b.Helper()
	w.until("it is rolled back", func() bool {
		out, err := w.try("towpath", "deployment", "list", "--env", "dev", "-o", "json")
		var doc struct{ Items []nouns.Deployment }
		if err != nil || json.Unmarshal(out, &doc) != nil {
			return false
		}
		n := 0
		for _, d := range slices.Backward(doc.Items) { // newest first
			if d.Phase == nouns.DeploymentRolledBack {
				n, last = n+1, d
			}
		}
		return n > before
	})
	return last
}

// load sends so many requests a second. Stopped, it gives when the first and the
// last one failed.
func (w *benchShop) load(perSecond int) (stop func() (first, last time.Time)) {
	ctx, cancel := context.WithCancel(context.Background())
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	var mu sync.Mutex
	var first, last time.Time
	var wg sync.WaitGroup
	var under atomic.Int64
	wg.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(perSecond))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if under.Load() > 64 {
				continue
			}
			under.Add(1)
			wg.Go(func() {
				defer under.Add(-1)
				resp, err := client.Get(w.url)
				if err == nil {
					_ = resp.Body.Close()
				}
				if err == nil && resp.StatusCode == http.StatusOK {
					return
				}
				mu.Lock()
				defer mu.Unlock()
				if last = time.Now(); first.IsZero() {
					first = last
				}
			})
		}
	})
	return func() (time.Time, time.Time) {
		cancel()
		wg.Wait()
		return first, last
	}
}
