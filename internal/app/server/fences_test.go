package server

import (
	"context"
	"math"
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

func TestServer_NoAgentTakesTheFences(t *testing.T) {
	t.Run("on SQLite", func(t *testing.T) { noAgentTakesTheFences(t, newHarness(t)) })
	t.Run("on PostgreSQL", func(t *testing.T) { noAgentTakesTheFences(t, newHarnessOn(t, dbtest.PostgresURL(t))) })
}

// noAgentTakesTheFences: an agent of one project, whose token somebody has, says that
// it has seen the highest fences there are.
func noAgentTakesTheFences(t *testing.T, h *harness) {
	ctx := t.Context()
	h.place = "eu"
	_, err := h.svc.Projects.Register(ctx, h.ana, "billing", h.repo.Dir)
	must(t, 0, err)
	all, narrow := h.worker(""), h.worker("billing")
	target := func(component towpath.ComponentName) towpath.Target {
		return towpath.Target{Project: "billing", Environment: "dev", Component: component, Place: "eu", Slot: "plan"}
	}
	narrow.hello(agentrpc.TargetFence{Target: target("api"), Fence: math.MaxInt64}, agentrpc.TargetFence{Target: target("web"), Fence: 1 << 62})
	all.hello()
	h.project = "billing"
	h.publish("1.0.0", "one")
	var op *towpath.Operation
	h.until("the plan of api is asked for", func() bool { op = all.claim(); return op != nil })
	if op.Target != target("api") || op.Fence >= 1<<62 {
		t.Errorf("claimed %s with the fence %d", op.Target.Key(), op.Fence)
	}
	must(t, 0, all.finish(op))
	all.brings("1.0.0")

	h.component = "web"
	h.publish("2.0.0", "two")
	h.until("the plan of web is asked for", func() bool { op = all.claim(); return op != nil && op.Target == target("web") })
	if op.Fence <= 1<<62 || op.Fence > 1<<62+100 {
		t.Errorf("a fence that may be of a server's later epoch was not raised: %d", op.Fence)
	}
	must(t, 0, all.finish(op))

	t.Run("what an older version has let have the highest one keeps nothing else waiting", func(t *testing.T) {
		must(t, 0, h.s.store.Update(ctx, func(ctx context.Context, tx *store.Tx) error {
			_, err := tx.NextFence(ctx, target("search"), math.MaxInt64)
			return err
		}))
		all.hello(agentrpc.TargetFence{Target: target("search"), Fence: 7})
		h.project, h.component = "billing", "search"
		h.publish("3.0.0", "three")
		stuck := func() (found towpath.Operation) {
			h.view(func(ctx context.Context, tx *store.Tx) error {
				ops, err := tx.OpenOperations(ctx, []towpath.PlaceName{"eu"}, string(layer("three")))
				if len(ops) > 0 {
					found = ops[0]
				}
				return err
			})
			return found
		}
		h.until("the plan of search is wanted", func() bool {
			if op := all.claim(); op != nil {
				must(t, 0, all.finish(op))
			}
			return stuck().ID != ""
		})
		h.project, h.component = shop, "api"
		h.publish("1.0.0", "four")
		all.brings("1.0.0")
		if op := stuck(); op.Phase != towpath.OperationPending || !strings.Contains(op.Said, "its fence is the highest that there is") {
			t.Errorf("it is %s and says %q", op.Phase, op.Said)
		}
	})
}
