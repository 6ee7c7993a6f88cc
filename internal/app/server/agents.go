package server

import (
	"context"
	"io"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/deploy"
	"github.com/towpath/towpath/internal/towpath"
)

// heartbeat is how often agents renew and observe; leases last several.
const heartbeat = 2 * time.Second

// sampleEvery is how often agents sample metrics. While traffic is shared they
// do every second.
const sampleEvery = 5 * time.Second

// agents speaks the agents' protocol for the use case.
type agents struct {
	deploys *deploy.Service
	blobs   blob.Store
	key     string
	samples bool // are kept
	calls   *calls
}

var _ agentrpc.Server = (*agents)(nil)

// Hello begins a session.
func (a *agents) Hello(ctx context.Context, actor towpath.Actor, req agentrpc.HelloRequest) (agentrpc.HelloResponse, error) {
	fences := map[towpath.Target]int64{}
	for _, f := range req.Journal.Fences {
		fences[f.Target] = f.Fence
	}
	var holds []towpath.OperationID
	for _, op := range req.Journal.Unfinished {
		holds = append(holds, op.Operation)
	}
	epoch, err := a.deploys.Hello(ctx, actor, deploy.Greeting{
		Place: req.Place, Agent: req.Agent, Session: req.Session, Fences: fences, Holds: holds,
	})
	return agentrpc.HelloResponse{Epoch: epoch, ServerKey: a.key, HeartbeatEvery: heartbeat, SampleEvery: a.sampling()}, err
}

// Claim waits for work and leases it.
func (a *agents) Claim(ctx context.Context, actor towpath.Actor, req agentrpc.ClaimRequest) ([]towpath.Operation, error) {
	wait, cancel := context.WithTimeout(ctx, min(req.Wait, agentrpc.MaxWait))
	defer cancel()
	poll := time.NewTicker(time.Second) // another server may have written
	defer poll.Stop()
	for {
		before := a.calls.Now()
		place, ops, err := a.deploys.Claim(ctx, actor, req.Session, req.Max)
		if err != nil || len(ops) > 0 {
			return ops, err
		}
		select {
		case <-a.calls.Since(place, before):
		case <-poll.C:
		case <-wait.Done():
			return nil, ctx.Err()
		}
	}
}

// Renew extends leases.
func (a *agents) Renew(ctx context.Context, actor towpath.Actor, req agentrpc.RenewRequest) (agentrpc.RenewResponse, error) {
	held := make([]deploy.Renewal, len(req.Operations))
	for i, op := range req.Operations {
		held[i] = deploy.Renewal{Operation: op.Operation, Fence: op.Fence}
	}
	got, err := a.deploys.Renew(ctx, actor, req.Session, held)
	if err != nil {
		return agentrpc.RenewResponse{}, err
	}
	var out agentrpc.RenewResponse
	for _, r := range got {
		res := agentrpc.RenewResult{Operation: r.Operation, Fence: r.Fence, Status: agentrpc.RenewCancelled}
		if r.Go {
			res.Status, res.LeaseUntil = agentrpc.RenewOK, r.Until
		}
		out.Results = append(out.Results, res)
	}
	return out, nil
}

// Report takes progress.
func (a *agents) Report(ctx context.Context, actor towpath.Actor, req agentrpc.ReportRequest) error {
	return a.deploys.Report(ctx, actor, req.Operation, req.Fence, req.Message)
}

// Finish ends an operation.
func (a *agents) Finish(ctx context.Context, actor towpath.Actor, req agentrpc.FinishRequest) (agentrpc.FinishResponse, error) {
	accepted, err := a.deploys.Finish(ctx, actor, req.Operation, req.Fence, req.Result)
	if err != nil {
		return agentrpc.FinishResponse{}, err
	}
	if accepted {
		return agentrpc.FinishResponse{Status: agentrpc.FinishAccepted}, nil
	}
	return agentrpc.FinishResponse{Status: agentrpc.FinishStale}, nil
}

// Observe takes what runs.
func (a *agents) Observe(ctx context.Context, actor towpath.Actor, req agentrpc.ObserveRequest) error {
	return a.deploys.Observe(ctx, actor, req.Session, req.Observations)
}

// Count takes what was counted of shared traffic.
func (a *agents) Count(ctx context.Context, actor towpath.Actor, req agentrpc.CountRequest) error {
	return a.deploys.Count(ctx, actor, req.Session, req.Counts)
}

// sampling is how often agents sample metrics, if anybody wants them.
func (a *agents) sampling() time.Duration {
	if a.samples {
		return sampleEvery
	}
	return 0
}

// Sample takes metrics.
func (a *agents) Sample(ctx context.Context, actor towpath.Actor, req agentrpc.SampleRequest) error {
	return a.deploys.Sample(ctx, actor, req.Session, req.Sets)
}

// OpenBlob opens files that an agent needs.
func (a *agents) OpenBlob(ctx context.Context, actor towpath.Actor, digest towpath.Digest) (io.ReadCloser, int64, error) {
	if err := a.deploys.MayRead(ctx, actor, digest); err != nil {
		return nil, 0, err
	}
	r, size, err := a.blobs.Open(ctx, digest)
	return r, size, blob.Lost(err)
}

// signer signs authorisations with the ledger's key.
type signer struct{ note note.Signer }

// Authorise signs the record that agents check before they run anything.
func (s signer) Authorise(a towpath.Authorisation) (string, error) {
	return agentrpc.Authorisation{
		Kind: a.Kind, Project: a.Project, Environment: a.Environment, Deployment: a.Deployment, Candidate: a.Candidate,
		Release: a.Release, Previous: a.Previous, Earlier: a.Earlier, PlanHash: a.PlanHash, Changes: a.Changes, PolicyVersion: a.PolicyVersion,
		Approvers: a.Approvers, Commit: a.Commit, Rules: a.Rules, Evidence: a.Evidence, Signatures: a.Signatures, At: a.At,
	}.Sign(s.note)
}

// Bundles reads which bundles an authorisation names.
func (s signer) Bundles(signed string) []towpath.Digest {
	a, ok := agentrpc.ReadAuthorisation(signed)
	if !ok {
		return nil
	}
	out := slices.Clone(a.Signatures)
	for _, e := range a.Evidence {
		out = append(out, e.Bundle)
	}
	return out
}
