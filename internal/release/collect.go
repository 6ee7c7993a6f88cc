package release

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Collected is what a collection gave up, or would.
type Collected struct {
	Project  towpath.ProjectName `json:"project"`
	DryRun   bool                `json:"dryRun"`
	Kept     int                 `json:"kept"`
	Releases []towpath.Digest    `json:"releases"` // whose layers are given up, oldest first
	Blobs    int                 `json:"blobs"`
	Bytes    int64               `json:"bytes"` // of these blobs
}

// keepRuns is how many stays in an environment retention looks back over.
const keepRuns = 2000

// Collect gives up the layers of releases that nothing needs any more, by the
// retention rules of their environments. Records, labels, manifests and
// provenance stay for ever; publishing the same commit again brings the layers
// back.
func (s *Service) Collect(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, dryRun bool) (Collected, error) {
	if err := access.Check(actor, access.ServerManage, access.Subject{Project: p}); err != nil {
		return Collected{}, err
	}
	now := s.cfg.Now()
	out := Collected{Project: p, DryRun: dryRun, Releases: []towpath.Digest{}}
	keep, drop, err := s.sort(ctx, p, now)
	if out.Kept = len(keep); err != nil || len(drop) == 0 { // nobody need wait for that
		return out, err
	}
	alone, err := s.latch.Own(ctx)
	if err != nil {
		return out, err
	}
	defer alone.Release()
	now = s.cfg.Now()
	if keep, drop, err = s.sort(ctx, p, now); err != nil { // others may have come, or gone, meanwhile
		return out, err
	}
	out.Kept = len(keep)
	for _, r := range drop {
		out.Releases = append(out.Releases, r.Digest)
	}
	if len(drop) == 0 { // what lives is read of every release there is, and nobody publishes meanwhile
		return out, nil
	}
	live, err := s.live(ctx, p, keep)
	if err != nil {
		return out, err
	}
	dead := map[towpath.Digest]int64{}
	for _, r := range drop {
		layers, err := s.layers(ctx, p, r.Digest)
		if err != nil {
			return out, err
		}
		for d, size := range layers {
			if !live[d] {
				dead[d] = size
			}
		}
	}
	held, err := s.giveUp(ctx, actor, p, drop, dead, now, dryRun)
	if err != nil {
		return out, err
	}
	for _, d := range held {
		delete(dead, d)
	}
	for _, size := range dead {
		out.Blobs++
		out.Bytes += size
	}
	if dryRun {
		return out, nil
	}
	return out, s.remove(ctx, alone, dead)
}

// errDry ends the transaction of a dry run: nothing of it stays.
var errDry = errors.New("dry run")

// giveUp records what is collected, before anything is deleted: a crash in between
// leaves blobs that nobody needs, never a release that claims what it lacks. It
// returns those of the layers that are needed as something else.
func (s *Service) giveUp(ctx context.Context, actor towpath.Actor, p towpath.ProjectName, drop []towpath.Release, dead map[towpath.Digest]int64, now time.Time, dryRun bool) ([]towpath.Digest, error) {
	var events []towpath.Event
	for _, r := range drop {
		ev := towpath.NewEvent(now, string(actor.Account), "release.collected")
		ev.Project, ev.Subject, ev.Release, ev.RequestID = p, string(r.Digest), r.Digest, actor.RequestID
		events = append(events, ev)
	}
	var held []towpath.Digest
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := s.stillUnneeded(ctx, tx, p, drop, now); err != nil {
			return err
		}
		for _, r := range drop { // what is left to hold a layer is not them
			if err := tx.MarkCollected(ctx, p, r.Digest, now); err != nil {
				return err
			}
		}
		var err error
		if held, err = tx.UnlinkGivenUp(ctx, slices.Collect(maps.Keys(dead))); err != nil {
			return err
		}
		if dryRun {
			return errDry
		}
		for _, ev := range events {
			if err := tx.Record(ctx, ev); err != nil {
				return err
			}
		}
		return nil
	})
	if errors.Is(err, errDry) {
		err = nil
	}
	return held, err
}

// remove deletes the bytes of layers as long as nobody can be about to need them.
func (s *Service) remove(ctx context.Context, alone Held, dead map[towpath.Digest]int64) error {
	var failed []error
	for d := range dead {
		if err := alone.Check(ctx); err != nil {
			return errors.Join(append(failed, err)...)
		}
		failed = append(failed, s.blobs.Delete(ctx, d))
	}
	return errors.Join(failed...)
}

// stillUnneeded makes sure that nothing has begun to need a release since it was
// sorted out, and keeps it so to the end of the transaction.
func (s *Service) stillUnneeded(ctx context.Context, tx Tx, p towpath.ProjectName, drop []towpath.Release, now time.Time) error {
	all, err := tx.Environments(ctx, p)
	if err != nil {
		return err
	}
	for _, e := range all {
		if _, err := tx.LockEnvironment(ctx, p, e.Name); err != nil {
			return err
		}
	}
	environments, err := histories(ctx, tx, p)
	if err != nil {
		return err
	}
	keep, _ := needed(environments, now)
	for _, r := range drop {
		if keep[r.Digest] {
			return towpath.E(towpath.KindConflict, "release.collect", "an environment has begun to need release %s", towpath.Short(r.Digest)).
				WithHint("collect again: the rest will be given up then")
		}
	}
	return nil
}

// sort divides the releases of a project into those to keep and the rest.
func (s *Service) sort(ctx context.Context, p towpath.ProjectName, now time.Time) (keep, drop []towpath.Release, err error) {
	err = s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		keep, drop = nil, nil
		all, err := tx.Whole(ctx, p)
		if err != nil {
			return err
		}
		brought, err := tx.Brought(ctx, p)
		if err != nil {
			return err
		}
		environments, err := histories(ctx, tx, p)
		if err != nil {
			return err
		}
		kept := retained(brought, environments, now)
		for _, r := range all {
			if kept[r.Digest] {
				keep = append(keep, r)
			} else {
				drop = append(drop, r)
			}
		}
		return nil
	})
	return keep, drop, err
}

func histories(ctx context.Context, tx Tx, p towpath.ProjectName) ([]history, error) {
	environments, err := tx.Environments(ctx, p)
	if err != nil {
		return nil, err
	}
	var out []history
	for _, e := range environments {
		var h history
		if e.Opened != nil { // the rules of a proposal are nobody's yet
			h.rule = e.Rules.Retention
		}
		if e.Release != "" {
			h.inUse = append(h.inUse, e.Release)
		}
		if h.runs, err = tx.Runs(ctx, p, e.Name, keepRuns); err != nil {
			return nil, err
		}
		if h.quarantined, err = quarantined(ctx, tx, p, h.runs); err != nil {
			return nil, err
		}
		open, err := tx.OpenPromotions(ctx, p, e.Name)
		if err != nil {
			return nil, err
		}
		for _, o := range open {
			h.inUse = append(h.inUse, o.Release)
		}
		running, err := tx.Running(ctx, p, e.Name)
		if err != nil {
			return nil, err
		}
		for _, r := range running {
			h.inUse = append(h.inUse, r.Release)
		}
		if e.Active != "" {
			d, err := tx.Deployment(ctx, e.Active)
			if err != nil {
				return nil, err
			}
			h.inUse = append(h.inUse, d.Release, d.Previous)
		}
		out = append(out, h)
	}
	return out, nil
}

// quarantined are the quarantined releases among those that ran verified, as far
// back as a rollback looks for one that is not.
func quarantined(ctx context.Context, tx Tx, p towpath.ProjectName, runs []towpath.Run) (map[towpath.Digest]bool, error) {
	out := map[towpath.Digest]bool{} // by release that was looked at
	good := 0
	for _, r := range runs {
		if _, known := out[r.Release]; known || !r.Verified {
			continue
		}
		q, err := tx.Quarantine(ctx, p, r.Release)
		if err != nil {
			return nil, err
		}
		out[r.Release] = q != nil
		if q == nil {
			good++
		}
		if good == lastGood {
			break
		}
	}
	return out, nil
}

// live is the set of layers of what is kept here, and of all releases of other
// projects: equal layers are one blob.
func (s *Service) live(ctx context.Context, p towpath.ProjectName, keep []towpath.Release) (map[towpath.Digest]bool, error) {
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		projects, err := tx.Projects(ctx)
		if err != nil {
			return err
		}
		for _, other := range projects {
			if other.Name == p {
				continue
			}
			whole, err := tx.Whole(ctx, other.Name)
			if err != nil {
				return err
			}
			keep = append(keep, whole...)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	live := map[towpath.Digest]bool{}
	for _, r := range keep {
		layers, err := s.layers(ctx, r.Project, r.Digest)
		if err != nil {
			return nil, err
		}
		for d := range layers {
			live[d] = true
		}
	}
	return live, nil
}

// InUse are the layers of the releases that run in any environment of a project,
// are on their way there, or would be gone back to. The environments stay as
// they are until the transaction ends.
func (s *Service) InUse(ctx context.Context, tx Tx, p towpath.ProjectName) (map[towpath.Digest]bool, error) {
	environments, err := tx.Environments(ctx, p)
	if err != nil {
		return nil, err
	}
	for _, e := range environments {
		if _, err := tx.LockEnvironment(ctx, p, e.Name); err != nil {
			return nil, err
		}
	}
	all, err := histories(ctx, tx, p)
	if err != nil {
		return nil, err
	}
	out := map[towpath.Digest]bool{}
	for d := range inUse(all) {
		if d == "" {
			continue // there was nothing before
		}
		layers, err := s.layers(ctx, p, d)
		if err != nil {
			return nil, err
		}
		for l := range layers {
			out[l] = true
		}
	}
	return out, nil
}

// layers are the layers of a release, with their sizes in bytes.
func (s *Service) layers(ctx context.Context, p towpath.ProjectName, d towpath.Digest) (map[towpath.Digest]int64, error) {
	content, err := s.Content(ctx, p, d)
	if err != nil {
		return nil, err
	}
	out := map[towpath.Digest]int64{}
	for _, c := range content.Components {
		out[c.Layer] = c.Size
	}
	for _, f := range content.Folders {
		out[f.Layer] = f.Size
	}
	return out, nil
}

// Hold waits until no release is being given up, on any server, and keeps it
// so until release is called: what a caller finds to be there is there. check
// fails when that was lost.
func (s *Service) Hold(ctx context.Context) (check func(context.Context) error, release func(), err error) {
	shared, err := s.latch.Share(ctx)
	if err != nil {
		return nil, nil, err
	}
	return shared.Check, shared.Release, nil
}

// Alone waits until nobody holds what they found to be there, on any server,
// and lets nobody do so until release is called. check fails when that was
// lost.
func (s *Service) Alone(ctx context.Context) (check func(context.Context) error, release func(), err error) {
	alone, err := s.latch.Own(ctx)
	if err != nil {
		return nil, nil, err
	}
	return alone.Check, alone.Release, nil
}

// CollectAll collects every project, for the loop.
func (s *Service) CollectAll(ctx context.Context) error {
	var names []towpath.ProjectName
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		names = nil
		projects, err := tx.Projects(ctx)
		for _, p := range projects {
			names = append(names, p.Name)
		}
		return err
	})
	for _, p := range names { // one that can't be read keeps no other from being collected
		if ctx.Err() != nil {
			break
		}
		_, cerr := s.Collect(ctx, towpath.System(), p, false)
		err = errors.Join(err, cerr)
	}
	return err
}
