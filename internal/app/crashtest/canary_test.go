package crashtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/http/rest/api"
	"github.com/towpath/towpath/internal/http/rest/client"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/kindtest"
	"github.com/towpath/towpath/internal/towpathtest/pgtest"
)

// TestServer_CrashOfACanary kills the server at the steps that it passes while a
// good release gets its traffic by steps, and while a bad one goes back by
// itself. Whatever the moment: the good one gets there without a lost request,
// the bad one is gone back from and nothing of it is left, no operation takes
// effect twice.
func TestServer_CrashOfACanary(t *testing.T) {
	for _, engine := range []struct {
		name  string
		new   func(t *testing.T) string
		spare bool
		hits  func(point string, n int) bool
	}{
		{"on SQLite", func(*testing.T) string { return "" }, false, canaryHits},
		{"on PostgreSQL", func(t *testing.T) string { return pgtest.New(t) }, false, tenths},
		{"of two on PostgreSQL", func(t *testing.T) string { return pgtest.New(t) }, true, tenths},
	} {
		t.Run(engine.name, func(t *testing.T) {
			for _, point := range []string{
				"deployment.stepped", "rollout.measured", "operation.claimed", "operation.finished", "ledger.sequenced", "store.before-commit", "store.after-commit",
			} {
				t.Run("at "+point, func(t *testing.T) {
					t.Parallel()
					for n := 1; n <= maxHits; n++ {
						if !engine.hits(point, n) {
							continue
						}
						reached := false
						passed := t.Run(fmt.Sprint("the time ", n), func(t *testing.T) {
							b := blow{server: fmt.Sprintf("%s:%d", point, n), spare: engine.spare}
							reached = canaryStory(t, engine.new(t), b, nil)
							if !reached && point == "rollout.measured" && n <= 3 {
								t.Error("nothing passes it")
							}
						})
						if !passed || !reached {
							return
						}
					}
				})
			}
		})
	}
}

// tenths are the passings that kill a server on PostgreSQL, where another one
// waits for the leases of the one that died.
func tenths(point string, n int) bool {
	return point == "deployment.stepped" && n%10 == 0 && canaryHits(point, n)
}

// TestAgent_CrashOfACanary is the same for the agent, at each step that its code
// names: of a good release, and of one that goes back.
func TestAgent_CrashOfACanary(t *testing.T) {
	for _, point := range agentHits() {
		t.Run("at "+point, func(t *testing.T) {
			t.Parallel()
			if !canaryStory(t, "", blow{agent: point}, nil) {
				t.Error("nothing passes it")
			}
		})
	}
}

// TestServer_CrashOfAMirror is the same with copies of requests before the steps:
// the bad one is gone back from without a user having met it.
func TestServer_CrashOfAMirror(t *testing.T) {
	for _, point := range mirrorHits() {
		t.Run("at "+point, func(t *testing.T) {
			t.Parallel()
			if !canaryStory(t, "", blow{server: point}, &towpath.RolloutStep{Copies: &towpath.TrafficCopies{Percent: 100}}) {
				t.Error("nothing passes it")
			}
		})
	}
}

// canaryStory has dev run 1.1.0 by steps, perhaps after copies, and go back from
// 1.2.0, with a server or an agent that dies at a step, and reports whether it
// got there.
func canaryStory(t *testing.T, database string, b blow, mirror *towpath.RolloutStep) (reached bool) {
	t.Helper()
	w := newWorld(t, database)
	w.canary = &towpath.Canary{
		Spec: towpath.RolloutSpec{
			Strategy: towpath.StrategyCanary, Timeout: time.Minute, Interval: time.Second, Deadline: time.Hour,
			Steps: []towpath.RolloutStep{{Weight: 20}, {Weight: 60}},
		},
		Objectives: []towpath.Objective{
			{Name: "errors", Kind: towpath.ObjectiveErrors, Target: 0.95, MinSamples: 30, Critical: true},
			{
				Name: "answers", Kind: towpath.ObjectiveRatio, Target: 0.95, MinSamples: 10,
				Bad:   `sum(towpath_router_requests_total{revision="{{revision}}",class="5xx"})`,
				Total: `sum(towpath_router_requests_total{revision="{{revision}}"})`,
			},
		},
	}
	if mirror != nil { // as many steps as without
		w.canary.Spec.Mirror, w.canary.Spec.Steps = mirror, w.canary.Spec.Steps[1:]
	}
	if b.server != "" {
		w.stop()
		w.armBeside(b.server, b.spare)
	}
	if b.agent != "" {
		w.armAgent(b.agent)
	}
	lost := w.users()
	w.publish("1.1.0")
	w.runs("dev", "1.1.0")
	if n, asked := lost(); n > 0 || asked < 20 {
		t.Errorf("%d of %d requests were lost to a good release\n%s", n, asked, w.log)
	}

	w.mode = kindtest.Failing
	lost = w.users()
	w.publish("1.2.0")
	w.until("it went back", func() bool {
		st := w.status("dev")
		return st.Hold != nil && st.Deployment == nil && st.Components[0].Running == st.Components[0].Revision
	})
	worse := "is worse at"
	if n, _ := lost(); mirror != nil {
		if worse = "is worse by what it did with copies"; n > 0 {
			t.Errorf("%d requests were lost to a bad release that was to have copies only\n%s", n, w.log)
		}
	}
	if st := w.status("dev"); st.Version != "1.1.0" || !strings.Contains(st.Hold.Reason, worse) {
		t.Errorf("dev runs %s, on hold because %s", st.Version, st.Hold.Reason)
	}
	address := "http://" + w.status("dev").Components[0].Address
	for range 20 {
		if got := kindtest.Get(address); got != "1.1.0 in dev" {
			t.Fatalf("%q answers after it went back\n%s", got, w.log)
		}
	}
	for line, want := range map[string]int{"1.0.0 in dev": 1, "1.1.0 in dev": 1, "1.2.0 in dev": 1} {
		if n := kindtest.CountStarts(t, w.starts, line); n != want {
			t.Errorf("%s was started %d times, want %d\n%s", line, n, want, w.log)
		}
	}
	l, err := w.ana.Deployments(t.Context(), shop, "dev", client.Page{})
	w.must(err)
	var got []string
	for _, d := range l.Items {
		got = append(got, d.Version+" "+string(d.Phase))
		if d.Phase == towpath.DeploymentRolledBack && (d.Recovery == nil || d.Recovery.Restored.IsZero()) {
			t.Errorf("its recovery is %+v", d.Recovery)
		}
	}
	if have := strings.Join(got, ", "); have != "1.2.0 rolled-back, 1.1.0 succeeded, 1.0.0 succeeded" {
		t.Errorf("deployments: %s\n%s", have, w.log)
	}
	w.until("the ledger verifies", func() bool {
		r, err := w.ana.Verify(t.Context(), "")
		w.must(err)
		if !r.OK {
			t.Fatalf("the ledger is bad: %+v", r)
		}
		return r.Unsequenced == 0
	})
	return w.kills.Load()+w.deaths.Load() > 0
}

// TestServer_CrashOfAnAlert kills the server when it has heeded an alert and not
// answered yet. Alertmanager tells it again; the release goes back once.
func TestServer_CrashOfAnAlert(t *testing.T) {
	w := newWorld(t, "")
	token, err := w.ana.CreateToken(t.Context(), api.CreateToken{Account: "ana", Name: "alerts"})
	w.must(err)
	w.stop()
	w.arm("rollout.alerted")
	w.publish("1.1.0")
	w.runs("dev", "1.1.0")
	body, err := json.Marshal(api.AlertGroup{Version: "4", Alerts: []api.Alert{{
		Status: "firing", StartsAt: time.Now().UTC(), Fingerprint: "c0ffee",
		Labels: map[string]string{"towpath_action": "rollback", "project": string(shop), "environment": "dev"},
	}}})
	w.must(err)
	w.until("the alert is taken", func() bool {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.front.url()+"/api/v1/alerts", bytes.NewReader(body))
		w.must(err)
		req.Header.Set("Authorization", "Bearer "+token.Secret)
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	if w.kills.Load() != 1 {
		t.Errorf("the server was killed %d times", w.kills.Load())
	}
	w.runs("dev", "1.0.0")
	l, err := w.ana.Deployments(t.Context(), shop, "dev", client.Page{})
	w.must(err)
	if len(l.Items) != 3 || l.Items[0].Kind != towpath.DeploymentRollback || w.status("dev").Hold == nil {
		t.Errorf("%d deployments, the last one is a %s\n%s", len(l.Items), l.Items[0].Kind, w.log)
	}
}

// users ask dev for its page a hundred times a second, or as often as it
// answers; the function ends it and counts.
func (w *world) users() func() (lost, asked int64) {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var failed, asked atomic.Int64
	address := "http://" + w.status("dev").Components[0].Address
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		next := time.NewTicker(10 * time.Millisecond)
		defer next.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-next.C:
			}
			asked.Add(1)
			if !strings.HasSuffix(kindtest.Get(address), " in dev") {
				failed.Add(1)
			}
		}
	}()
	w.t.Cleanup(func() { stop(); <-ended })
	return func() (int64, int64) {
		stop()
		<-ended
		return failed.Load(), asked.Load()
	}
}
