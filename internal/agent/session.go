package agent

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/agentrpc"
	"github.com/towpath/towpath/internal/towpath"
)

// claimMax is how many operations one claim may bring.
const claimMax = 16

// idlePause keeps a server that answers claims at once from being asked all
// the time.
const idlePause = 50 * time.Millisecond

// sessionLoop says hello and claims, and says hello again after every error:
// the server may be another one since, or have been restored. It returns before
// ctx ends only when the server refuses the agent.
func (a *Agent) sessionLoop(ctx context.Context) error {
	t, resumed := a.newTries(), false
	for ctx.Err() == nil {
		err := a.hello(ctx)
		if err == nil && !resumed {
			if err = a.resume(ctx); err == nil {
				resumed = true
			}
		}
		if err == nil {
			t = a.newTries()
			err = a.claimLoop(ctx)
		}
		if ctx.Err() != nil {
			break
		}
		wait := t.failed()
		if end := a.ends(ctx, err, wait); end != nil {
			return end
		}
		_ = pause(ctx, wait)
	}
	return context.Cause(ctx)
}

func (a *Agent) hello(ctx context.Context) error {
	resp, err := a.client.Hello(ctx, agentrpc.HelloRequest{
		Agent: a.cfg.Name, Place: a.cfg.Place, Session: a.session,
		Kinds: slices.Sorted(maps.Keys(a.runners)), Journal: a.journal.summary(),
	})
	if err != nil {
		return a.refused(err)
	}
	if err := a.meet(resp.ServerKey); err != nil {
		return err
	}
	if a.heartbeat.Swap(int64(resp.HeartbeatEvery)) != int64(resp.HeartbeatEvery) {
		select {
		case a.paced <- struct{}{}:
		default: // it is about to look
		}
	}
	a.sample.Store(int64(resp.SampleEvery))
	a.connected.Store(true)
	a.log.InfoContext(ctx, "session with the server", "session", a.session, "epoch", resp.Epoch, "place", a.cfg.Place)
	a.outbox.kick()
	a.observeNow()
	return nil
}

func (a *Agent) claimLoop(ctx context.Context) error {
	for {
		ops, err := a.client.Claim(ctx, a.session, claimMax, a.cfg.ClaimWait)
		if err != nil {
			return err
		}
		for _, op := range ops {
			a.take(ctx, op)
		}
		if len(ops) == 0 {
			if err := pause(ctx, idlePause); err != nil {
				return err
			}
		}
	}
}

// defaultHeartbeat is used until the server says another.
const defaultHeartbeat = 5 * time.Second

// renewLoop keeps the leases of what is open. Work goes on when that can't be
// done; it stops when the server says so.
func (a *Agent) renewLoop(ctx context.Context) error {
	for {
		every := time.Duration(a.heartbeat.Load())
		if every <= 0 {
			every = defaultHeartbeat
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.paced: // with the default the first lease might run out
		case <-time.After(every):
			if a.connected.Load() {
				a.renew(ctx)
			}
		}
	}
}

func (a *Agent) renew(ctx context.Context) {
	open := a.journal.open()
	if len(open) == 0 {
		return
	}
	ask := make([]agentrpc.OperationFence, len(open))
	for i, as := range open {
		ask[i] = agentrpc.OperationFence{Operation: as.Operation.ID, Fence: as.Operation.Fence}
	}
	answers, err := a.client.Renew(ctx, a.session, ask)
	if err != nil {
		if ctx.Err() == nil {
			a.log.WarnContext(ctx, "leases not renewed; what runs goes on", "operations", len(ask), "error", err)
		}
		return
	}
	for _, r := range answers {
		if r.Status == agentrpc.RenewOK {
			continue
		}
		// A new claim of the same operation may have come since the question.
		if as, ok := a.journal.find(r.Operation); ok && as.Operation.Fence == r.Fence && as.Phase != agentrpc.JournalDone {
			a.log.InfoContext(ctx, "the server withdrew an operation", "operation", r.Operation, "status", r.Status)
			if r.Status == agentrpc.RenewCancelled {
				a.cancel(r.Operation, errCancelled)
			} else {
				a.cancel(r.Operation, claimedAgain{r.Fence}) // and gone on with from where it is
			}
		}
	}
}

// observeNow has what runs kept and then looked at without waiting.
func (a *Agent) observeNow() { kick(a.look) }

// kick has a loop begin its next round; one that is due already is enough.
func kick(loop chan<- struct{}) {
	select {
	case loop <- struct{}{}:
	default:
	}
}

// keepLoop keeps what runs running, every few seconds and after each operation,
// without a server too. It waits for no look at it: one may take as long as an
// instance that hangs. Each round is followed by a look.
func (a *Agent) keepLoop(ctx context.Context) error {
	t := time.NewTicker(a.cfg.ObserveEvery)
	defer t.Stop()
	for {
		a.keep(ctx)
		kick(a.kept)
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-t.C:
		case <-a.look:
		}
	}
}

func (a *Agent) keep(ctx context.Context) {
	for _, k := range slices.Sorted(maps.Keys(a.runners)) {
		keeper, ok := a.runners[k].(Keeper)
		if !ok {
			continue
		}
		if err := keeper.Keep(ctx); err != nil && ctx.Err() == nil {
			a.log.WarnContext(ctx, "what runs could not be kept", "kind", k, "error", err)
		}
	}
}

// observeLoop tells the server what runs, after each round of [Agent.keepLoop]:
// what died is started again by then.
func (a *Agent) observeLoop(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-a.kept:
			a.observe(ctx)
		}
	}
}

func (a *Agent) observe(ctx context.Context) {
	all := []towpath.Observation{}
	whole := true
	for _, k := range slices.Sorted(maps.Keys(a.runners)) {
		r := a.runners[k]
		seen, err := r.Observe(ctx)
		if err != nil {
			whole = false
			if ctx.Err() == nil {
				a.log.WarnContext(ctx, "what runs could not be observed", "kind", k, "error", err)
			}
		}
		for _, o := range seen {
			o.Detail = clip(o.Detail, maxMessage)
			if o.Folder != "" {
				a.files.watch.look(o.Folder, o.Ignore).into(&o)
			}
			all = append(all, o)
		}
	}
	// What could not be looked at must not read as gone.
	if !whole || !a.connected.Load() {
		return
	}
	if err := a.client.Observe(ctx, agentrpc.ObserveRequest{Session: a.session, Place: a.cfg.Place, Observations: all}); err != nil && ctx.Err() == nil {
		a.log.WarnContext(ctx, "observations not delivered", "error", err)
	}
}
