package place

import (
	"context"
	"errors"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// BringBack brings back what is only at a place whose rule is ending, and then
// ends the rule. It may be stopped anywhere and run again. While the place is
// down nothing ends: the rule says why.
func (k *Keeper) BringBack(ctx context.Context, rule towpath.ReplicationRule) error {
	// Whoever is letting go of layers began before the rule was ending; the next
	// one sees that it is.
	_, release, err := k.collector.Hold(ctx)
	if err != nil {
		return err
	}
	release()
	err = k.bringBack(ctx, rule)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return errors.Join(err, k.note(ctx, rule, err))
	}
	return k.end(ctx, rule)
}

// bringBack fetches all layers that are needed and not here.
func (k *Keeper) bringBack(ctx context.Context, rule towpath.ReplicationRule) error {
	away, err := k.only(ctx, rule)
	if err != nil {
		return err
	}
	var failed []error
	for _, l := range away {
		_, err := k.fetch(ctx, l.Digest)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		failed = append(failed, err)
		if kind := towpath.KindOf(err); kind == towpath.KindUnavailable || kind == towpath.KindExhausted {
			break // the next one would fare no better
		}
	}
	return errors.Join(failed...)
}

// only are the layers of a place that a record holds and the store has not.
func (k *Keeper) only(ctx context.Context, rule towpath.ReplicationRule) (out []towpath.Placed, err error) {
	var all []towpath.Placed
	err = k.each(ctx, rule, func(l towpath.Placed) error {
		_, err := k.Store.Stat(ctx, l.Digest)
		if missing(err) {
			all = append(all, l)
			return nil
		}
		return err
	})
	for part := range slices.Chunk(all, page) {
		if err != nil {
			return nil, err
		}
		var dead []towpath.Placed
		dead, err = k.unheld(ctx, part)
		for _, l := range part {
			if !slices.Contains(dead, l) {
				out = append(out, l)
			}
		}
	}
	return out, err
}

// end ends a rule when everything is here, and looks once more while nobody
// deletes.
func (k *Keeper) end(ctx context.Context, rule towpath.ReplicationRule) error {
	check, release, err := k.collector.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	away, err := k.only(ctx, rule)
	if err != nil {
		return err
	}
	if len(away) > 0 {
		return towpath.E(towpath.KindUnavailable, "place.end", "%d layers are not here yet", len(away)).On(string(rule.Name))
	}
	ev := k.event("replication.removed", rule)
	return k.records.Update(ctx, func(ctx context.Context, tx Tx) error {
		if err := tx.DeleteReplicationRule(ctx, rule.Project, rule.Name); err != nil {
			return err
		}
		if err := tx.Record(ctx, ev); err != nil {
			return err
		}
		return check(ctx)
	})
}

// note writes down why a rule does not end.
func (k *Keeper) note(ctx context.Context, rule towpath.ReplicationRule, failure error) error {
	why, _ := towpath.PublicMessage(failure)
	return k.records.Update(ctx, func(ctx context.Context, tx Tx) error {
		now, err := tx.ReplicationRule(ctx, rule.Project, rule.Name)
		if missing(err) || err == nil && (now.Place == nil || now.Place.Error == why) {
			return nil
		}
		if err != nil {
			return err
		}
		now.Place.Error = why
		return tx.SaveReplicationRule(ctx, now)
	})
}

// Known are all layers that were compared at a place, with their sizes in bytes.
func (s *Service) Known(ctx context.Context) (map[towpath.Digest]int64, error) {
	var rules []towpath.ReplicationRule
	err := s.records.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		rules, err = tx.AllReplicationRules(ctx)
		return err
	})
	out := map[towpath.Digest]int64{}
	for _, rule := range rules {
		if err == nil && rule.Place != nil {
			err = s.each(ctx, rule, func(l towpath.Placed) error { out[l.Digest] = l.Size; return nil })
		}
	}
	return out, err
}
