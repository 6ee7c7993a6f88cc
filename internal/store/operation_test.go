package store_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/rollout"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
)

func operation(id towpath.OperationID, c towpath.ComponentName, at time.Time) towpath.Operation {
	return towpath.Operation{
		ID: id, Deployment: "dep_1", Verb: towpath.VerbPrepare, Phase: towpath.OperationPending, CreatedAt: at, RunAfter: at,
		Target: towpath.Target{Project: shop, Environment: "prod", Component: c, Place: "local", Slot: towpath.SlotMain},
	}
}

func TestStore_Claimable(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		later := operation("op_later", "web", noon)
		later.RunAfter = noon.Add(time.Hour)
		second := operation("op_second", "api", noon.Add(time.Second))
		second.RunAfter = noon
		for _, op := range []towpath.Operation{operation("op_first", "api", noon), second, later} {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, op)
				return err
			})
		}
		claimable := func(session string, now time.Time) (ids []towpath.OperationID) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				ops, err := tx.Claimable(ctx, "local", access.Scope{All: true}, session, now, 10)
				ids = nil
				for _, op := range ops {
					ids = append(ids, op.ID)
				}
				return err
			})
			return ids
		}
		equal(t, claimable("s1", noon), []towpath.OperationID{"op_first", "op_second"})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			op, err := tx.LockOperation(ctx, "op_first")
			op.Phase, op.Lease, op.LeaseUntil = towpath.OperationRunning, "s1", noon.Add(15*time.Second)
			return errors.Join(err, tx.SaveOperation(ctx, op))
		})
		t.Run("what runs keeps others off its target", func(t *testing.T) {
			equal(t, claimable("s1", noon), nil)
		})
		t.Run("a new session takes over what the old one had", func(t *testing.T) {
			equal(t, claimable("s2", noon), []towpath.OperationID{"op_first"})
		})
		t.Run("a lease that ran out is free", func(t *testing.T) {
			equal(t, claimable("s1", noon.Add(time.Minute)), []towpath.OperationID{"op_first"})
		})
		t.Run("what is due later comes later", func(t *testing.T) {
			equal(t, claimable("s1", noon.Add(time.Hour)), []towpath.OperationID{"op_first", "op_later"})
		})
	})
}

func TestStore_ClaimableWithin(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		add := func(id towpath.OperationID, p towpath.ProjectName, e towpath.EnvironmentName, c towpath.ComponentName) {
			op := operation(id, c, noon)
			op.Target.Project, op.Target.Environment = p, e
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, op)
				return err
			})
		}
		add("op_a", shop, "prod", "api")
		add("op_b", shop, "dev", "prod")
		add("op_c", "prod", "dev", "shop")
		add("op_d", "shopping", "prod", "api")
		add("op_e", "s-op", "prod", "api")
		for name, tt := range map[string]struct {
			in   []access.Subject
			want []towpath.OperationID
		}{
			"of a project":               {[]access.Subject{{Project: shop}}, []towpath.OperationID{"op_a", "op_b"}},
			"of an environment":          {[]access.Subject{{Environment: "prod"}}, []towpath.OperationID{"op_a", "op_d", "op_e"}},
			"of a project's environment": {[]access.Subject{{Project: shop, Environment: "prod"}}, []towpath.OperationID{"op_a"}},
			"of several":                 {[]access.Subject{{Project: "prod"}, {Project: shop, Environment: "dev"}}, []towpath.OperationID{"op_b", "op_c"}},
			"a name is no pattern":       {[]access.Subject{{Project: "s_op"}, {Project: "%"}, {Environment: "pro_"}, {Project: `\`}}, nil},
			"of nothing that there is":   {[]access.Subject{{Project: "web"}}, nil},
			"nothing":                    {nil, nil},
		} {
			t.Run(name, func(t *testing.T) {
				var ids []towpath.OperationID
				update(t, s, func(ctx context.Context, tx *store.Tx) error {
					ids = nil
					ops, err := tx.Claimable(ctx, "local", access.Scope{In: tt.in}, "s1", noon, 3)
					for _, op := range ops {
						ids = append(ids, op.ID)
					}
					return err
				})
				equal(t, ids, tt.want)
			})
		}
	})
}

func TestStore_OpenOperations(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		layer, content := towpath.HashOf("layer"), towpath.HashOf("content")
		for id, phase := range map[towpath.OperationID]towpath.OperationPhase{
			"op_1": towpath.OperationPending, "op_2": towpath.OperationRunning, "op_3": towpath.OperationSucceeded, "op_4": towpath.OperationCancelled,
		} {
			op := operation(id, "api", noon)
			op.Phase, op.Spec.Layer = phase, layer
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, op)
				return err
			})
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(
				tx.SaveSession(ctx, deploy.Session{Place: "local", Agent: "host", ID: "s1", Seen: noon}),
				tx.SaveSession(ctx, deploy.Session{Place: "eu", Agent: "host", ID: "s2", Seen: noon}),
			)
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			open := func(text string, places ...towpath.PlaceName) (ids []towpath.OperationID) {
				t.Helper()
				ops, err := tx.OpenOperations(ctx, places, text)
				if err != nil {
					t.Fatal(err)
				}
				for _, op := range ops {
					ids = append(ids, op.ID)
				}
				return ids
			}
			equal(t, open(string(layer), "eu", "local"), []towpath.OperationID{"op_1", "op_2"})
			equal(t, open(string(layer), "eu"), nil)
			equal(t, open(string(layer)), nil)
			equal(t, open(string(content), "local"), nil)
			equal(t, open("sha256_", "local"), nil)
			places, err := tx.Served(ctx)
			equal(t, places, []towpath.PlaceName{"eu", "local"})
			return err
		})
	})
}

func TestStore_OpenVerifications(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		for id, change := range map[towpath.OperationID]func(op *towpath.Operation){
			"op_1_pending":   func(*towpath.Operation) {},
			"op_2_running":   func(op *towpath.Operation) { op.Phase = towpath.OperationRunning },
			"op_3_unknown":   func(op *towpath.Operation) { op.Phase = towpath.OperationUnknown },
			"op_4_failed":    func(op *towpath.Operation) { op.Phase = towpath.OperationFailed },
			"op_5_withdrawn": func(op *towpath.Operation) { op.Phase = towpath.OperationCancelled },
			"op_6_step":      func(op *towpath.Operation) { op.Again = false },
			"op_7_plan":      func(op *towpath.Operation) { op.Again, op.Deployment = false, "" },
			"op_8_other":     func(op *towpath.Operation) { op.Target.Component = "web" },
			"op_9_elsewhere": func(op *towpath.Operation) { op.Target.Environment = "dev" },
		} {
			op := operation(id, "api", noon)
			op.Promotion, op.Again = "ver_1", true
			change(&op)
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, op)
				return err
			})
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			ops, err := tx.OpenVerifications(ctx, operation("", "api", noon).Target)
			var ids []towpath.OperationID
			for _, op := range ops {
				ids = append(ids, op.ID)
			}
			equal(t, ids, []towpath.OperationID{"op_1_pending", "op_2_running", "op_3_unknown"})
			return err
		})
	})
}

func TestStore_AgentsAway(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		for i, x := range []struct {
			component towpath.ComponentName
			place     towpath.PlaceName
			phase     towpath.OperationPhase
			of        towpath.DeploymentID
		}{
			{"web", "local", towpath.OperationPending, "dep_1"},
			{"api", "local", towpath.OperationRunning, "dep_1"},
			{"api", "local", towpath.OperationPending, "dep_1"},
			{"db", "local", towpath.OperationSucceeded, "dep_1"},
			{"mail", "eu", towpath.OperationPending, "dep_1"},
			{"search", "moon", towpath.OperationPending, "dep_1"},
			{"other", "local", towpath.OperationPending, "dep_2"},
		} {
			op := operation(towpath.OperationID(fmt.Sprintf("op_%d", i)), x.component, noon.Add(time.Duration(i)*time.Second))
			op.Deployment, op.Target.Place, op.Phase = x.of, x.place, x.phase
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				_, err := tx.InsertOperation(ctx, op)
				return err
			})
		}
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			return errors.Join(
				tx.SaveSession(ctx, deploy.Session{Place: "local", Agent: "host", ID: "s1", Seen: noon}),
				tx.SaveSession(ctx, deploy.Session{Place: "eu", Agent: "faraway", ID: "s2", Seen: noon.Add(time.Hour)}),
			)
		})
		update(t, s, func(ctx context.Context, tx *store.Tx) error {
			got, err := tx.AgentsAway(ctx, "dep_1", noon.Add(time.Hour))
			equal(t, got, []towpath.AgentAway{
				{Place: "local", Agent: "host", Seen: noon, Components: []towpath.ComponentName{"web", "api"}},
				{Place: "moon", Components: []towpath.ComponentName{"search"}},
			})
			return err
		})
	})
}

func TestStore_Fences(t *testing.T) {
	each(t, func(t *testing.T, s *store.Store) {
		target := operation("op", "api", noon).Target
		next := func(floor int64) (fence int64) {
			t.Helper()
			update(t, s, func(ctx context.Context, tx *store.Tx) (err error) {
				fence, err = tx.NextFence(ctx, target, floor)
				return err
			})
			return fence
		}
		equal(t, next(1), 1)
		equal(t, next(1), 2)
		t.Run("a floor raises it", func(t *testing.T) { equal(t, next(1<<40), 1<<40) })
		t.Run("it never falls", func(t *testing.T) { equal(t, next(1), 1<<40+1) })
		t.Run("what runs is kept beside it", func(t *testing.T) {
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				err := tx.SaveRunning(ctx, target, rollout.Running{Component: "api", Revision: "rev_1"})
				got, listErr := tx.Running(ctx, shop, "prod")
				equal(t, len(got), 1)
				equal(t, got[0].Revision, "rev_1")
				return errors.Join(err, listErr)
			})
			equal(t, next(1), 1<<40+2)
		})
		t.Run("there is none after the highest, and the transaction goes on", func(t *testing.T) {
			equal(t, next(math.MaxInt64-1), math.MaxInt64-1)
			equal(t, next(1), math.MaxInt64)
			other := operation("op", "web", noon).Target
			update(t, s, func(ctx context.Context, tx *store.Tx) error {
				for range 2 {
					_, err := tx.NextFence(ctx, target, 1)
					wantKind(t, err, towpath.KindExhausted)
				}
				fence, err := tx.NextFence(ctx, other, 7)
				equal(t, fence, 7)
				return err
			})
		})
	})
}
