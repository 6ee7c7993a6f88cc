package agent

import (
	"context"
	"errors"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// refusal is the server's word that this agent may not work in its place. No
// later try helps until a person has done something.
type refusal struct{ err *towpath.Error }

// Error is what a person is told.
func (r *refusal) Error() string { return r.err.Error() }

// Unwrap gives the error that ends the agent.
func (r *refusal) Unwrap() error { return r.err }

// refused turns a refused hello into a refusal. A server that can't be reached
// or does not work at the moment is none, nor is a place that is taken: those
// pass.
func (a *Agent) refused(err error) error {
	kind := towpath.KindOf(err)
	if kind != towpath.KindUnauthenticated && kind != towpath.KindForbidden {
		return err
	}
	why, serverHint := towpath.PublicMessage(err)
	e := towpath.E(kind, "agent.hello", "the server refuses this agent's token for place %s: %s", a.cfg.Place, why)
	if kind == towpath.KindUnauthenticated {
		return &refusal{e.WithHint("make a token with `towpath token create NAME --account ACCOUNT`, give it to the agent with --token-file or TOWPATH_TOKEN, and start it again")}
	}
	_ = e.WithHint("let its account work here with `towpath account grant ACCOUNT agent --place %s`, or make a token of one that may with `towpath token create NAME --account ACCOUNT`", a.cfg.Place)
	if serverHint != "" {
		e.Hint += "; " + serverHint
	}
	return &refusal{e}
}

// ends decides what an error of the session means: a refusal ends the agent
// once nothing is under way, any other one does not. It says so either way.
func (a *Agent) ends(ctx context.Context, err error, pause time.Duration) (end *towpath.Error) {
	no := new(refusal)
	if !errors.As(err, &no) {
		a.log.WarnContext(ctx, "no session with the server; what runs goes on", "error", err, "pause", pause)
		return nil
	}
	if n := a.underWay(); n > 0 {
		a.log.ErrorContext(ctx, "the server refuses this agent: it begins nothing new and ends after what is under way",
			"error", no.err, "hint", no.err.Hint, "operations", n)
		return nil
	}
	a.log.ErrorContext(ctx, "the server refuses this agent: it ends; processes and traffic go on, and results that were not told are kept for its next start",
		"error", no.err, "hint", no.err.Hint)
	return no.err
}

// underWay counts the operations at work.
func (a *Agent) underWay() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.running)
}
