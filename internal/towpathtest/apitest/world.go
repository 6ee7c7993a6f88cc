package apitest

import (
	"context"
	"sync"

	"github.com/towpath/towpath/internal/analysis"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/inventory"
	"github.com/towpath/towpath/internal/ledger"
	"github.com/towpath/towpath/internal/mirror"
	"github.com/towpath/towpath/internal/promote"
	registrypkg "github.com/towpath/towpath/internal/registry"
	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/replication"
	"github.com/towpath/towpath/internal/towpath"
	"github.com/towpath/towpath/internal/trust"
)

// World is what the use cases know. Set fields before the server is used, or
// through [World.Do].
type World struct {
	mu sync.Mutex

	Actors       map[string]towpath.Actor // by secret
	Projects     []towpath.Project
	Blobs        map[towpath.Digest][]byte
	Releases     []towpath.Release
	Page         release.List
	Diff         release.Diff
	Preview      promote.Preview
	Verdicts     promote.Preview // of the gates of evidence
	Promotions   []towpath.Promotion
	Freezes      []towpath.Freeze
	Deployments  []towpath.Deployment
	Rollback     deploy.RollbackResult
	Status       []inventory.Status
	Drift        inventory.DriftReport
	Accounts     []towpath.Account
	Tokens       []towpath.Token
	TagRules     []string
	Replications []replication.Status
	Mirror       mirror.Status
	Usage        registrypkg.Usage
	Garbage      registrypkg.Collected
	Scrubs       []registrypkg.Scrubbed // the parts, in order
	Affected     []towpath.Affected     // by what is quarantined, one after the other
	Keys         []towpath.TrustedKey
	Materials    []towpath.MaterialQuarantine
	Evidence     trust.Evidence
	Report       ledger.Report
	Checkpoint   string
	PublicKey    string
	Export       []byte
	events       []ledger.Entry
	changed      chan struct{}

	// Experiment is that of every environment.
	Experiment deploy.ExperimentRecord
	// Judged is the analysis of every rollout.
	Judged analysis.Judgement
	// Verification is what became of the only one.
	Verification deploy.Verification
	// Fail is asked first by every use case: its name is that of the service
	// and the method, such as "promotions.Hold".
	Fail func(ctx context.Context, method string) error
	// Calls counts what was asked, by the same names.
	Calls map[string]int
	// Last is the actor of the last call.
	Last towpath.Actor
}

// NewWorld is a world with one account and its token.
func NewWorld() *World {
	return &World{
		Actors: map[string]towpath.Actor{Token: {
			Account: "ana", Token: "tok_1", Grants: []towpath.Grant{{Role: towpath.RoleViewer}, {Role: towpath.RolePromoter, Project: "shop"}},
		}},
		Blobs: map[towpath.Digest][]byte{}, Calls: map[string]int{}, changed: make(chan struct{}),
	}
}

// Do runs f while nothing else looks at the world.
func (w *World) Do(f func(w *World)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f(w)
}

// Called is how often a method was called.
func (w *World) Called(method string) (n int) {
	w.Do(func(w *World) { n = w.Calls[method] })
	return n
}

// Append adds entries to the ledger and wakes those who watch.
func (w *World) Append(entries ...ledger.Entry) {
	w.Do(func(w *World) {
		w.events = append(w.events, entries...)
		close(w.changed)
		w.changed = make(chan struct{})
	})
}

// Changed is closed by the next Append.
func (w *World) Changed() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.changed
}

// Services are the use cases over the world.
func (w *World) Services() rest.Services {
	return rest.Services{
		Projects: projects{w}, Releases: releases{w}, Promotions: promotions{w}, Deploys: deploys{w},
		Inventory: inventories{w}, Accounts: accounts{w}, Audit: audits{w}, Registry: registry{w}, Replication: replications{w}, Mirror: mirrors{w}, Trust: trusts{w},
	}
}

// enter begins a call: it locks the world unless the call fails.
func (w *World) enter(ctx context.Context, actor towpath.Actor, method string) error {
	w.mu.Lock()
	w.Calls[method]++
	w.Last = actor
	fail := w.Fail
	w.mu.Unlock()
	if fail != nil {
		if err := fail(ctx, method); err != nil {
			return err
		}
	}
	w.mu.Lock()
	return nil
}

func absent(noun, name string) error {
	return towpath.E(towpath.KindNotFound, noun+".get", "there is no such %s", noun).On(name)
}

// find is the first item that is as wanted.
func find[T any](items []T, noun, name string, wanted func(T) bool) (T, error) {
	for _, x := range items {
		if wanted(x) {
			return x, nil
		}
	}
	var zero T
	return zero, absent(noun, name)
}
