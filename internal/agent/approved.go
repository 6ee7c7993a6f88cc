package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/kind"
	"github.com/towpath/towpath/internal/towpath"
)

// damaged says what is wrong with an operation that is not as the server issued it:
// something changed its spec, or its name, in the database or on the network. Folders
// are named after operations.
func damaged(op towpath.Operation) (why string) {
	got, err := op.Spec.Digest()
	switch {
	case strings.ContainsFunc(string(op.ID), func(c rune) bool {
		return !strings.ContainsRune(idLetters, c)
	}):
		why = "the agent refuses the operation: its ID has other characters than letters, digits, - and _"
	case err != nil:
		why, _ = towpath.PublicMessage(err)
	case got != op.SpecDigest:
		why = "the agent refuses the operation: its spec has the digest " + string(got) + ", and the server issued " + string(op.SpecDigest) +
			"; check the server's database and what stands between it and the agent, and deploy again"
	}
	return why
}

// idLetters are the characters of an operation's ID.
const idLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"

// refuse tells a failure of an operation that is not accepted. Nothing of it
// gets to the journal: an agent that stops before it has told it is given the
// operation again, and refuses it again.
func (a *Agent) refuse(op towpath.Operation, why string) { a.decline(op, towpath.ResultFailed, why) }

// decline is refuse with a status: an error is the place's fault, and passes.
func (a *Agent) decline(op towpath.Operation, status towpath.ResultStatus, why string) {
	a.outbox.refuse(agentrpc.FinishRequest{
		Session: a.session, Operation: op.ID, Fence: op.Fence, Seq: seqRun - 1, At: a.cfg.Now().UTC(),
		Result: towpath.OperationResult{Status: status, Message: why},
	})
}

// carriesOut reports whether an operation does what an approved plan says: it
// goes forward, for a promotion.
func carriesOut(op towpath.Operation, auth agentrpc.Authorisation) bool {
	forward := []towpath.Verb{towpath.VerbPrepare, towpath.VerbVerifyBefore, towpath.VerbShift, towpath.VerbSwitch}
	return auth.Kind == towpath.DeploymentPromotion && auth.PlanHash != "" && slices.Contains(forward, op.Verb)
}

// planned is [carriesOut] for an operation whose authorisation was checked
// when it was accepted.
func (a *Agent) planned(op towpath.Operation) bool {
	key := a.trusted.Load()
	if key == nil || op.Spec.Authorisation == "" {
		return false
	}
	auth, err := agentrpc.VerifyAuthorisation(op.Spec.Authorisation, key.verifier)
	return err == nil && carriesOut(op, auth)
}

// keepsToPlan checks that an operation does what was approved: the approval
// names the component's plan, made on what the server says runs now, and this
// agent makes the same plan of the operation. An approval of a server that did
// not name plans yet can't be compared. It returns a [*kind.Stale] when the base
// moved since and a [*kind.Failure] when something else was approved.
func (a *Agent) keepsToPlan(ctx context.Context, r kind.Runner, op towpath.Operation, auth agentrpc.Authorisation) error {
	if !carriesOut(op, auth) || len(auth.Changes) == 0 {
		return nil
	}
	refuse := func(why string) error {
		return &kind.Failure{Message: "the agent refuses the operation: " + why}
	}
	if sum := sumOf(auth); sum != auth.PlanHash {
		return refuse("the plans that its approval names make the hash " + string(sum) + ", and what was approved is " + string(auth.PlanHash))
	}
	i := slices.IndexFunc(auth.Changes, func(c towpath.PlannedChange) bool { return c.Component == op.Target.Component })
	if i < 0 {
		return &kind.Stale{Running: op.Spec.Previous, Message: "the approved plan has no change of " + string(op.Target.Component)}
	}
	switch c := auth.Changes[i]; {
	case c.From != op.Spec.Previous:
		return &kind.Stale{Running: op.Spec.Previous, Message: "the approved plan replaces " + named(c.From) + ", and " + named(op.Spec.Previous) + " runs now"}
	case c.To != op.Spec.Revision:
		return refuse("it would run " + named(op.Spec.Revision) + ", and the approved plan says " + named(c.To))
	case op.Verb == towpath.VerbPrepare:
		return a.samePlan(ctx, r, op, c.Hash)
	}
	return nil
}

// samePlan makes the plan of an operation again and compares it.
func (a *Agent) samePlan(ctx context.Context, r kind.Runner, op towpath.Operation, approved towpath.Digest) error {
	op.Verb = towpath.VerbPlan
	p, err := r.Plan(ctx, kind.Work{Operation: op, Say: func(string) {}})
	if err != nil {
		return err
	}
	if p.Hash != approved {
		return &kind.Failure{Message: "the agent refuses the operation: its plan has the hash " + string(p.Hash) + ", and what was approved has " + string(approved)}
	}
	return nil
}

// sumOf is the hash of the plan whose changes an authorisation names.
func sumOf(auth agentrpc.Authorisation) towpath.Digest {
	plans := make([]towpath.ComponentPlan, len(auth.Changes))
	for i, c := range auth.Changes {
		plans[i] = towpath.ComponentPlan{Component: c.Component, Hash: c.Hash}
	}
	return towpath.PlanOf(auth.Previous, plans, time.Time{}).Hash
}

// named is a revision in a sentence.
func named(rev towpath.RevisionID) string {
	if rev == "" {
		return "nothing"
	}
	return string(rev)
}
