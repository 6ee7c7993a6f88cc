package deploy_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/sqldb"
	"github.com/towpath/towpath/internal/store"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/towpathtest/dbtest"
)

type silent struct{}

func (silent) Append(context.Context, *sqldb.Tx, towpath.Event) error { return nil }

// races are transactions of which the first to read the operations of a
// verification lets another one come as far as it gets.
type races struct {
	store.Narrow[deploy.Tx]
	other   func()
	first   *sync.Once
	waiting chan struct{} // the other is about to lock the environment
}

func (r races) Update(ctx context.Context, f func(context.Context, deploy.Tx) error) error {
	return r.Narrow.Update(ctx, func(ctx context.Context, tx deploy.Tx) error { return f(ctx, racing{tx, r}) })
}

type racing struct {
	deploy.Tx
	races
}

func (r racing) VerificationOperations(ctx context.Context, id towpath.PromotionID) ([]towpath.Operation, error) {
	ops, err := r.Tx.VerificationOperations(ctx, id)
	r.first.Do(func() {
		go r.other()
		<-r.waiting
	})
	return ops, err
}

type second struct {
	store.Narrow[deploy.Tx]
	waiting chan struct{}
}

func (s second) Update(ctx context.Context, f func(context.Context, deploy.Tx) error) error {
	return s.Narrow.Update(ctx, func(ctx context.Context, tx deploy.Tx) error { return f(ctx, locking{tx, s.waiting}) })
}

type locking struct {
	deploy.Tx
	waiting chan struct{}
}

func (l locking) LockEnvironment(ctx context.Context, p towpath.ProjectName, e towpath.EnvironmentName) (towpath.Environment, error) {
	close(l.waiting)
	return l.Tx.LockEnvironment(ctx, p, e)
}

// TestService_Finish_ofAVerification: of the ends of two jobs of a verification that
// come together none is overlooked.
func TestService_Finish_ofAVerification(t *testing.T) {
	now := time.Now().Truncate(time.Microsecond)
	s := store.New(dbtest.Postgres(t), silent{}, nil)
	d := towpath.HashOf("release", "1")
	ok := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ok(s.Update(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		ok(tx.InsertProject(ctx, towpath.Project{Name: "shop", CreatedAt: now}))
		_, err := tx.InsertEnvironment(ctx, towpath.Environment{
			Project: "shop", Name: "prod", Candidate: "c", Release: d, Version: "1.0.0", Deployment: "dep_1", Since: now.Add(-time.Hour), Rules: towpath.EnvironmentSpec{Name: "prod", Place: "local"},
		})
		ok(err)
		ok(tx.SaveRun(ctx, towpath.Run{Project: "shop", Environment: "prod", Candidate: "c", Release: d, Version: "1.0.0", Deployment: "dep_1", Began: now.Add(-time.Hour), Verified: true}))
		for _, name := range []towpath.ComponentName{"api", "web"} {
			_, err := tx.InsertOperation(ctx, towpath.Operation{
				ID: towpath.OperationID("op_" + name), Deployment: "dep_1", Promotion: "ver_1", Again: true, Verb: towpath.VerbVerifyAfter,
				Target: towpath.Target{Project: "shop", Environment: "prod", Component: name, Place: "local", Slot: towpath.SlotMain},
				Phase:  towpath.OperationRunning, Fence: 1, CreatedAt: now,
			})
			ok(err)
		}
		return nil
	}))
	agent := towpath.Actor{Account: "agent", Grants: []towpath.Grant{{Role: towpath.RoleAgent}}}
	finish := func(of deploy.Store, op towpath.OperationID, how towpath.ResultStatus) error {
		svc := deploy.New(deploy.Config{Now: func() time.Time { return now }}, of, nil, nil, nil)
		_, err := svc.Finish(context.WithoutCancel(t.Context()), agent, op, 1, towpath.OperationResult{Status: how, Message: "it answers 500"})
		return err
	}
	waiting, ended := make(chan struct{}), make(chan error, 1)
	other := func() { ended <- finish(second{store.For[deploy.Tx](s), waiting}, "op_web", towpath.ResultDone) }
	ok(finish(races{store.For[deploy.Tx](s), other, &sync.Once{}, waiting}, "op_api", towpath.ResultFailed))
	ok(<-ended)
	ok(s.View(t.Context(), func(ctx context.Context, tx *store.Tx) error {
		runs, err := tx.Runs(ctx, "shop", "prod", 10)
		ok(err)
		if runs[0].Verified || !strings.Contains(runs[0].Doubt, "api: it answers 500") {
			t.Errorf("the run is verified: %v, in doubt: %q", runs[0].Verified, runs[0].Doubt)
		}
		return nil
	}))
}
