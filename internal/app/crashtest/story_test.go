package crashtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/gittest"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
)

// status of an environment; it waits for the server as people would.
func (w *world) status(e towpath.EnvironmentName) inventory.Status {
	w.t.Helper()
	st, err := w.ana.Status(w.t.Context(), shop, e)
	w.must(err)
	return st.Environments[0]
}

// until asks until f holds.
func (w *world) until(what string, f func() bool) {
	w.t.Helper()
	deadline := time.After(patience)
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for !f() {
		select {
		case <-poll.C:
		case <-deadline:
			w.t.Fatalf("never: %s\n%s\n%s", what, w.dump(), w.log)
		}
	}
	w.resumed(what)
}

// dump is what there is to know, for whoever reads a failure.
func (w *world) dump() string {
	st, err := w.ana.Status(w.t.Context(), shop, "")
	text, _ := json.MarshalIndent(st, "", " ")
	return fmt.Sprint(string(text), err)
}

// resumed notes how long a step took that the server was killed in.
func (w *world) resumed(what string) {
	w.t.Helper()
	at := w.killed.Swap(0)
	if at == 0 {
		return
	}
	took := time.Since(time.UnixMicro(at))
	w.took = max(w.took, took)
	w.t.Logf("%s %s after the server was killed", what, took.Round(10*time.Millisecond))
}

func (w *world) runs(e towpath.EnvironmentName, version string) {
	w.t.Helper()
	w.until(string(e)+" runs "+version, func() bool {
		st := w.status(e)
		return st.Version == version && st.Deployment == nil && st.Components[0].Running == st.Components[0].Revision
	})
}

// promote asks for prod, as ana, and approves, as ben.
func (w *world) promote(version string) {
	w.t.Helper()
	p, err := w.ana.Promote(w.t.Context(), shop, api.Promote{Release: version, Environment: "prod"})
	w.must(err)
	w.resumed("asked for")
	w.until(version+" waits for approval", func() bool {
		p, err = w.ben.Promotion(w.t.Context(), p.ID)
		w.must(err)
		return p.Phase == towpath.PromotionWaiting && len(p.Verdicts) > 0
	})
	p, err = w.ben.Approve(w.t.Context(), p.ID, "looks good")
	w.must(err)
	w.resumed("approved")
	if n := len(p.Approvals); n != 1 {
		w.t.Errorf("%d approvals, want the one that was given", n)
	}
	w.runs("prod", version)
	w.until("the branch follows", func() bool { return w.ref("refs/heads/production") == w.commits[version] })
}

func (w *world) rollBack() {
	w.t.Helper()
	r, err := w.ana.Rollback(w.t.Context(), shop, "prod", api.Rollback{Reason: "checkout is slow"})
	w.must(err)
	w.resumed("rollback asked for")
	if r.Deployment == nil || r.ToVersion != "1.0.0" {
		w.t.Fatalf("the rollback goes to %s\n%s", r.ToVersion, w.log)
	}
	w.runs("prod", "1.0.0")
}

// repair has everything in an environment replaced by the same again.
func (w *world) repair(e towpath.EnvironmentName) {
	w.t.Helper()
	d, err := w.ana.Repair(w.t.Context(), shop, e, api.Repair{Reason: "a test", Force: true})
	w.must(err)
	w.resumed("repair asked for")
	w.until(string(e)+" is repaired", func() bool {
		d, err = w.ana.Deployment(w.t.Context(), d.ID)
		w.must(err)
		return d.Phase == towpath.DeploymentSucceeded
	})
}

// story carries 1.1.0 to prod, repairs dev and goes back, with a server that dies at a step, and
// reports whether it got there and how long what it was doing took to go on. It
// comes back, or another server on the same database has to do.
func story(t testing.TB, database, point string, spare bool) (reached bool, took time.Duration) {
	t.Helper()
	w := newWorld(t, database)
	lost := w.traffic()
	w.stop()
	w.armBeside(point, spare)
	w.publish("1.1.0")
	w.resumed("published")
	w.runs("dev", "1.1.0")
	w.promote("1.1.0")
	w.repair("dev")
	w.rollBack()
	w.settled()
	if n := lost(); n > 0 {
		t.Errorf("%d requests were lost\n%s", n, w.log)
	}
	w.nothingTwice()
	w.nothingLost()
	return w.kills.Load() > 0, w.took
}

// traffic asks both environments all the time; the function ends it and counts.
func (w *world) traffic() (lost func() int64) {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	var failures atomic.Int64
	addresses := map[towpath.EnvironmentName]string{"dev": w.status("dev").Components[0].Address, "prod": w.status("prod").Components[0].Address}
	go func() {
		defer close(ended)
		next := time.NewTicker(10 * time.Millisecond)
		defer next.Stop()
		for {
			for e, address := range addresses {
				if got := kindtest.Get("http://" + address); !strings.HasSuffix(got, " in "+string(e)) {
					failures.Add(1)
				}
			}
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
		}
	}()
	w.t.Cleanup(func() { stop(); <-ended })
	return func() int64 {
		stop()
		<-ended
		return failures.Load()
	}
}

// settled waits until promotions, refs and ledger have caught up.
func (w *world) settled() {
	w.t.Helper()
	w.until("no promotion is open", func() bool {
		l, err := w.ana.Promotions(w.t.Context(), shop, client.PromotionFilter{Open: true})
		w.must(err)
		return len(l.Items) == 0
	})
	w.until("the refs follow", func() bool {
		for _, e := range []towpath.EnvironmentName{"dev", "prod"} {
			if b := w.status(e).Branch; b != nil && b.Pending != "" {
				return false
			}
		}
		return w.ref("refs/towpath/env/dev") == w.commits["1.1.0"] && w.ref("refs/towpath/env/prod") == w.commits["1.0.0"] &&
			w.ref("refs/heads/production") == w.commits["1.1.0"]
	})
	w.until("the ledger verifies", func() bool {
		r, err := w.ana.Verify(w.t.Context(), "")
		w.must(err)
		if !r.OK {
			w.t.Fatalf("the ledger is bad: %+v", r)
		}
		return r.Unsequenced == 0
	})
}

// ref is where a ref points; empty when it does not exist.
func (w *world) ref(name string) towpath.CommitID {
	out, err := w.repo.Try(gittest.Ana, "", "rev-parse", "--verify", "--quiet", name)
	if err != nil {
		return ""
	}
	return towpath.CommitID(strings.TrimSpace(out))
}

// nothingTwice checks that every operation took effect once: what was started,
// deployed and recorded.
func (w *world) nothingTwice() {
	w.t.Helper()
	for line, want := range map[string]int{"1.0.0 in dev": 1, "1.1.0 in dev": 2, "1.0.0 in prod": 2, "1.1.0 in prod": 1} {
		if n := kindtest.CountStarts(w.t, w.starts, line); n != want {
			w.t.Errorf("%s was started %d times, want %d\n%s", line, n, want, w.log)
		}
	}
	for e, want := range map[towpath.EnvironmentName]string{"dev": "1.1.0 1.1.0 1.0.0", "prod": "1.0.0 1.1.0 1.0.0"} {
		l, err := w.ana.Deployments(w.t.Context(), shop, e, client.Page{})
		w.must(err)
		var got []string
		for _, d := range l.Items {
			got = append(got, d.Version)
			if d.Phase != towpath.DeploymentSucceeded {
				w.t.Errorf("deployment %s of %s to %s is %s: %s", d.ID, d.Version, e, d.Phase, d.Reason)
			}
		}
		if have := strings.Join(got, " "); have != want {
			w.t.Errorf("deployments of %s: %s, want %s\n%s", e, have, want, w.log)
		}
	}
}

// nothingLost checks that what was acknowledged is there, recorded once.
func (w *world) nothingLost() {
	w.t.Helper()
	counts := w.counted()
	for action, want := range map[string]int{
		"release.published": 2, "promotion.requested": 4, "promotion.approved": 2, "rollback.requested": 1, "repair.requested": 1,
		"promotion.succeeded": 4, "deployment.succeeded": 6, "deployment.retiring": 5, "environment.held": 1,
	} {
		if counts[action] != want {
			w.t.Errorf("%s stands %d times in the ledger, want %d: %s", action, counts[action], want, sorted(counts))
		}
	}
	if h := w.status("prod").Hold; h == nil {
		w.t.Error("the rollback's hold is gone")
	}
}

// counted counts the events in the ledger by action.
func (w *world) counted() map[string]int {
	w.t.Helper()
	counts := map[string]int{}
	page := client.EventFilter{Project: shop}
	for more := true; more; more = page.After > 0 {
		l, err := w.ana.Events(w.t.Context(), page)
		w.must(err)
		for _, e := range l.Items {
			counts[e.Event.Action]++
		}
		page.After = l.Next
	}
	return counts
}

func sorted(counts map[string]int) string {
	var out []string
	for k, n := range counts {
		out = append(out, fmt.Sprintf("%s:%d", k, n))
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}
