package place

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// LetGo is what one pass did.
type LetGo struct {
	Layers int   `json:"layers"` // let go here: they are at their place only
	Bytes  int64 `json:"bytes"`
	Lost   int   `json:"lost"` // that a place had and does not have any more
}

func (l *LetGo) add(x LetGo) {
	l.Layers += x.Layers
	l.Bytes += x.Bytes
	l.Lost += x.Lost
}

const (
	page  = 500 // rows at once
	batch = 32  // layers in one transaction
)

// Keeper lets go of layers, and brings them back.
type Keeper struct {
	*Service
	releases  Releases
	collector Collector
}

// NewKeeper makes the part of the service that deletes.
func NewKeeper(s *Service, releases Releases, collector Collector) *Keeper {
	return &Keeper{Service: s, releases: releases, collector: collector}
}

// LetGo lets go of the layers that the places' rules don't want kept here. A
// layer goes only when its place says at this moment that it has it, when every
// record of it is one that a place stands for, and when nothing that runs or is
// on its way needs it. A place that is down loses nothing and holds nobody else
// up.
func (k *Keeper) LetGo(ctx context.Context) (out LetGo, err error) {
	var rules []towpath.ReplicationRule
	err = k.records.View(ctx, func(ctx context.Context, tx Tx) error {
		rules, err = tx.AllReplicationRules(ctx)
		return err
	})
	if err != nil {
		return out, err
	}
	var failed []error
	for _, rule := range rules {
		if !rule.IsPlace() {
			continue
		}
		err := k.letGo(ctx, rule, &out)
		if ctx.Err() != nil {
			return out, ctx.Err()
		}
		failed = append(failed, err)
	}
	return out, errors.Join(append(failed, k.forget(ctx))...)
}

// letGo is [Keeper.LetGo] of one place.
func (k *Keeper) letGo(ctx context.Context, rule towpath.ReplicationRule, out *LetGo) error {
	here, err := k.here(ctx, rule)
	if err != nil {
		return err
	}
	for part := range slices.Chunk(k.doomed(here, rule.Place), batch) {
		there, lost, err := k.confirmed(ctx, rule, part)
		if err != nil {
			return err
		}
		if err := k.lost(ctx, rule, lost); err != nil {
			return err
		}
		out.Lost += len(lost)
		gone, err := k.remove(ctx, rule, there)
		if err != nil {
			return err
		}
		out.add(gone)
	}
	return nil
}

// here lists the layers of a place that the store has too.
func (k *Keeper) here(ctx context.Context, rule towpath.ReplicationRule) (out []blob.Info, err error) {
	err = k.each(ctx, rule, func(l towpath.Placed) error {
		info, err := k.Store.Stat(ctx, l.Digest)
		if err == nil {
			out = append(out, info)
		} else if missing(err) {
			err = nil
		}
		return err
	})
	return out, err
}

// each visits the layers of a place, between transactions.
func (s *Service) each(ctx context.Context, rule towpath.ReplicationRule, visit func(towpath.Placed) error) error {
	for after := towpath.Digest(""); ; {
		var part []towpath.Placed
		err := s.records.View(ctx, func(ctx context.Context, tx Tx) error {
			var err error
			part, err = tx.PlacedUnder(ctx, rule.Project, rule.Name, after, page)
			return err
		})
		if err != nil {
			return err
		}
		for _, l := range part {
			if err := visit(l); err != nil {
				return err
			}
		}
		if len(part) < page {
			return nil
		}
		after = part[len(part)-1].Digest
	}
}

// doomed are the layers that a rule does not want kept: those that came too long
// ago, and then the oldest ones over its bound. What has just come stays, so
// that what is being published, or was read back a moment ago, is not.
func (k *Keeper) doomed(here []blob.Info, rule *towpath.PlaceRule) []blob.Info {
	slices.SortFunc(here, func(a, b blob.Info) int {
		return cmp.Or(a.Written.Compare(b.Written), cmp.Compare(a.Digest, b.Digest))
	})
	var sum int64
	for _, i := range here {
		sum += i.Size
	}
	now, n := k.cfg.Now(), 0
	for ; n < len(here); n++ {
		i := here[n]
		old, over := !i.Written.After(now.Add(-rule.Keep)), rule.Cache > 0 && sum > rule.Cache
		if i.Written.After(now.Add(-k.cfg.Fresh)) || !old && !over {
			break
		}
		sum -= i.Size
	}
	return here[:n]
}

// confirmed sorts layers into those that their place has at this moment and
// those that it has lost.
func (k *Keeper) confirmed(ctx context.Context, rule towpath.ReplicationRule, all []blob.Info) (there, lost []blob.Info, err error) {
	place, err := k.connect(rule)
	if err != nil {
		return nil, nil, err
	}
	for _, i := range all {
		has, err := func() (bool, error) {
			ctx, cancel := context.WithTimeout(ctx, k.cfg.Stall)
			defer cancel()
			return place.HasBlob(ctx, descriptor(i.Digest, i.Size))
		}()
		switch {
		case err != nil:
			return nil, nil, err
		case has:
			there = append(there, i)
		default:
			lost = append(lost, i)
		}
	}
	return there, lost, nil
}

// lost has a place brought what it had and has no more: nothing relies on it
// until it was copied and compared there again.
func (k *Keeper) lost(ctx context.Context, rule towpath.ReplicationRule, all []blob.Info) error {
	if len(all) == 0 {
		return nil
	}
	now := k.cfg.Now()
	ev := k.event("place.lost", rule)
	return k.records.Update(ctx, func(ctx context.Context, tx Tx) error {
		for _, i := range all {
			if err := tx.UnplaceLayer(ctx, towpath.Placed{Project: rule.Project, Rule: rule.Name, Digest: i.Digest}); err != nil {
				return err
			}
		}
		copies, err := tx.Replications(ctx, rule.Project, rule.Name)
		if err != nil {
			return err
		}
		for _, c := range copies {
			if c.Fresh.IsZero() {
				continue
			}
			c.Fresh, c.Content, c.Since = time.Time{}, "", now
			if err := tx.SaveReplication(ctx, c); err != nil {
				return err
			}
		}
		if err := tx.WakeReplications(ctx, rule.Project, now); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
}

// remove deletes layers here, while nobody can rely on one that is being deleted
// and nothing can begin to need it.
func (k *Keeper) remove(ctx context.Context, rule towpath.ReplicationRule, all []blob.Info) (out LetGo, err error) {
	if len(all) == 0 {
		return out, nil
	}
	check, release, err := k.collector.Alone(ctx)
	if err != nil {
		return out, err
	}
	defer release()
	err = k.records.Update(ctx, func(ctx context.Context, tx Tx) error {
		out = LetGo{}
		free, err := k.free(ctx, tx, rule, all)
		if err != nil || len(free) == 0 {
			return err
		}
		for _, i := range free {
			if err := check(ctx); err != nil {
				return err
			}
			// One that was put or asked for since it was looked at stays.
			done, err := k.DeleteOlder(ctx, i.Digest, i.Written.Add(1))
			if err != nil {
				return err
			}
			if done {
				out.add(LetGo{Layers: 1, Bytes: i.Size})
			}
		}
		if out.Layers == 0 {
			return nil
		}
		ev := k.event("place.let-go", rule)
		if ev.Data, err = json.Marshal(out); err != nil {
			return err
		}
		return tx.Record(ctx, ev)
	})
	return out, err
}

// free are the layers that may go. It is asked again where it is acted upon:
// the rule may be ending by now, and somebody else have a record of the layer.
func (k *Keeper) free(ctx context.Context, tx Tx, rule towpath.ReplicationRule, all []blob.Info) ([]blob.Info, error) {
	places, err := active(ctx, tx)
	if err != nil {
		return nil, err
	}
	digests := make([]towpath.Digest, len(all))
	for i, b := range all {
		digests[i] = b.Digest
	}
	covers, err := tx.Covers(ctx, digests)
	if err != nil {
		return nil, err
	}
	covered, own := map[towpath.Digest]int{}, map[towpath.Digest]bool{}
	for _, c := range covers {
		at := towpath.ReplicationRule{Project: c.Project, Name: c.Rule}
		if places[key(at)] { // one that is ending stands for nothing any more
			covered[c.Digest]++
		}
		own[c.Digest] = own[c.Digest] || key(at) == key(rule)
	}
	held, err := tx.Holders(ctx, digests)
	if err != nil {
		return nil, err
	}
	needed, err := k.needed(ctx, tx, covers)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(slices.Clone(all), func(i blob.Info) bool {
		return !own[i.Digest] || held[i.Digest] != covered[i.Digest] || needed[i.Digest]
	}), nil
}

// needed are the layers in use in the projects that have some layers: equal
// layers of several projects are one blob.
func (k *Keeper) needed(ctx context.Context, tx Tx, covers []towpath.Placed) (map[towpath.Digest]bool, error) {
	projects := map[towpath.ProjectName]bool{}
	for _, c := range covers {
		projects[c.Project] = true
	}
	out := map[towpath.Digest]bool{}
	for _, p := range slices.Sorted(maps.Keys(projects)) { // always in one order: their environments are locked
		in, err := k.releases.InUse(ctx, tx, p)
		if err != nil {
			return nil, err
		}
		maps.Copy(out, in)
	}
	return out, nil
}

// active are the places that layers are let go for.
func active(ctx context.Context, tx Tx) (map[string]bool, error) {
	rules, err := tx.AllReplicationRules(ctx)
	out := map[string]bool{}
	for _, r := range rules {
		if r.IsPlace() {
			out[key(r)] = true
		}
	}
	return out, err
}

func key(r towpath.ReplicationRule) string { return string(r.Project) + "/" + string(r.Name) }

// forget forgets the layers that no record holds any more: nobody asks for them.
func (k *Keeper) forget(ctx context.Context) error {
	var rules []towpath.ReplicationRule
	err := k.records.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		rules, err = tx.AllReplicationRules(ctx)
		return err
	})
	for _, rule := range rules {
		if err != nil || rule.Place == nil {
			continue
		}
		var all []towpath.Placed
		err = k.each(ctx, rule, func(l towpath.Placed) error { all = append(all, l); return nil })
		for part := range slices.Chunk(all, page) {
			if err == nil {
				err = k.forgetUnheld(ctx, part)
			}
		}
	}
	return err
}

func (k *Keeper) forgetUnheld(ctx context.Context, all []towpath.Placed) error {
	dead, err := k.unheld(ctx, all)
	if err != nil || len(dead) == 0 {
		return err
	}
	check, release, err := k.collector.Alone(ctx) // who found a layer to be there has recorded it by then
	if err != nil {
		return err
	}
	defer release()
	if dead, err = k.unheld(ctx, dead); err != nil {
		return err
	}
	return k.records.Update(ctx, func(ctx context.Context, tx Tx) error {
		for _, l := range dead {
			if err := tx.UnplaceLayer(ctx, l); err != nil {
				return err
			}
		}
		return check(ctx)
	})
}

// unheld are the layers that no record says to be there.
func (k *Keeper) unheld(ctx context.Context, all []towpath.Placed) (out []towpath.Placed, err error) {
	digests := make([]towpath.Digest, len(all))
	for i, l := range all {
		digests[i] = l.Digest
	}
	err = k.records.View(ctx, func(ctx context.Context, tx Tx) error {
		held, err := tx.Holders(ctx, digests)
		if err != nil {
			return err
		}
		out = nil
		for _, l := range all {
			if held[l.Digest] == 0 {
				out = append(out, l)
			}
		}
		return nil
	})
	return out, err
}

func (k *Keeper) event(action string, rule towpath.ReplicationRule) towpath.Event {
	ev := towpath.NewEvent(k.cfg.Now(), string(towpath.System().Account), action)
	ev.Project, ev.Subject, ev.Reason = rule.Project, string(rule.Name), rule.To
	return ev
}
