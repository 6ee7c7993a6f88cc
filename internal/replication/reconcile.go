package replication

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/towpath/towpath/internal/reconcile"
	"github.com/towpath/towpath/internal/replicate"
	"github.com/towpath/towpath/internal/towpath"
)

// Kind is the kind of work of the loop.
func (s *Service) Kind() string { return WorkReplication }

// Reconcile copies what a place lacks, one release after the other: a rule has
// one writer. It may be stopped anywhere and run again. A place that is down is
// tried again with growing pauses.
func (s *Service) Reconcile(ctx context.Context, key string, _ time.Time) (reconcile.Result, error) {
	project, name, _ := strings.Cut(key, "/")
	rule, wanted, err := s.wanted(ctx, towpath.ProjectName(project), towpath.ReplicationName(name))
	if towpath.KindOf(err) == towpath.KindNotFound {
		return reconcile.Done(), nil // it was removed
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	if rule.Place != nil && !rule.IsPlace() {
		return reconcile.Done(), s.cfg.Keeper.BringBack(ctx, rule)
	}
	target, err := s.cfg.Connect(rule)
	if err != nil {
		return reconcile.Result{}, err
	}
	var failed []error
	for _, r := range wanted {
		err := s.bring(ctx, rule, target, r)
		if ctx.Err() != nil {
			return reconcile.Result{}, ctx.Err()
		}
		failed = append(failed, err)
		if towpath.KindOf(err) == towpath.KindUnavailable {
			break // the next one would fare no better
		}
	}
	if err := errors.Join(failed...); err != nil {
		return reconcile.Result{}, err
	}
	return reconcile.After(s.cfg.Every), nil
}

// wanted reads a rule and the releases that its place should have, oldest wish
// first, and writes down those that are new.
func (s *Service) wanted(ctx context.Context, p towpath.ProjectName, name towpath.ReplicationName) (rule towpath.ReplicationRule, out []due, err error) {
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		if rule, err = tx.ReplicationRule(ctx, p, name); err != nil {
			return err
		}
		have, err := tx.Replications(ctx, p, name)
		if err != nil {
			return err
		}
		if out, err = wish(ctx, tx, rule, have); err != nil {
			return err
		}
		for _, x := range out {
			if slices.ContainsFunc(have, func(h towpath.Replication) bool { return h.Release == x.Release }) {
				continue
			}
			if err := tx.SaveReplication(ctx, x.Replication); err != nil {
				return err
			}
		}
		return dropUnwanted(ctx, tx, have, out)
	})
	return rule, out, err
}

// dropUnwanted drops what can't be copied any more, or need not: it was given up
// here, or did not stay in its environment. Its place is not behind for that;
// what is there is still known.
func dropUnwanted(ctx context.Context, tx Tx, have []towpath.Replication, wanted []due) error {
	for _, x := range have {
		switch {
		case slices.ContainsFunc(wanted, func(w due) bool { return w.Release == x.Release }):
		case x.Done.IsZero():
			if err := tx.DeleteReplication(ctx, x); err != nil {
				return err
			}
		case x.Fresh.IsZero(): // it was there whole, and nothing more can be added
			x.Fresh, x.Error, x.Attempts, x.Trying = x.Done, "", 0, time.Time{}
			if err := tx.SaveReplication(ctx, x); err != nil {
				return err
			}
		}
	}
	return nil
}

// bring copies a release, unless its place has everything already, and writes
// down how that went.
func (s *Service) bring(ctx context.Context, rule towpath.ReplicationRule, target Target, d due) error {
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Longest)
	defer cancel()
	x := d.Replication
	load, err := s.pack(bounded, rule.Project, x.Release)
	if err == nil && !x.Fresh.IsZero() && x.Content == load.content() && len(x.Candidates) == len(load.candidates) {
		return s.unchanged(ctx, d, load.left) // a copy that was written down before its candidates were is compared once more
	}
	if err == nil {
		if !x.Fresh.IsZero() { // something was attached since
			x.Fresh, x.Since = time.Time{}, s.cfg.Now()
		}
		if len(load.tags) > 0 {
			x.Version = towpath.TagVersion(load.tags[0])
		}
		if err := s.begin(ctx, &x); err != nil {
			return err
		}
		err = ship(bounded, load, target)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil && bounded.Err() != nil {
		err = towpath.E(towpath.KindUnavailable, "replication.copy", "the copy took more than %s", s.cfg.Longest).On(rule.To).WithCause(err).
			WithHint("what is there whole is not copied again")
	}
	return errors.Join(err, s.note(ctx, x, load, err))
}

// unchanged keeps a place from being behind for a publication that changed
// nothing there.
func (s *Service) unchanged(ctx context.Context, d due, left string) error {
	if !d.overdue() && d.Left == left {
		return nil
	}
	d.Fresh, d.Left = s.cfg.Now(), left
	return s.save(ctx, d.Replication)
}

// begin writes down that an attempt is under way: whoever looks sees since when.
func (s *Service) begin(ctx context.Context, x *towpath.Replication) error {
	x.Trying = s.cfg.Now()
	return s.save(ctx, *x)
}

// save writes what is known of a copy, unless its rule was removed meanwhile.
func (s *Service) save(ctx context.Context, x towpath.Replication) error {
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		_, err := tx.ReplicationRule(ctx, x.Project, x.Rule)
		if towpath.KindOf(err) == towpath.KindNotFound {
			return nil
		}
		if err != nil {
			return err
		}
		return tx.SaveReplication(ctx, x)
	})
}

// ship copies a release, names it there and compares.
func ship(ctx context.Context, load shipment, target Target) error {
	cfg := replicate.Config{Attempts: 2}
	root := load.graph.Root
	for _, tag := range load.tags {
		d, err := target.Resolve(ctx, cfg, tag)
		if err != nil && towpath.KindOf(err) != towpath.KindNotFound {
			return err
		}
		if err == nil && d.Digest != root.Digest {
			return towpath.E(towpath.KindConflict, "replication.copy", "the tag %s is something else there, and it is not moved", tag).On(string(d.Digest)).
				WithHint("find out who writes to that repository: a rule wants one of its own")
		}
	}
	if _, err := replicate.Copy(ctx, load.source, target, load.graph, cfg); err != nil {
		return err
	}
	manifest, err := load.source.Manifest(ctx, root)
	if err != nil {
		return err
	}
	for _, tag := range load.tags {
		if err := target.Tag(ctx, cfg, root, manifest, tag); err != nil {
			return err
		}
	}
	return nil
}

// note writes down how a copy went. Whoever waits for it looks again.
func (s *Service) note(ctx context.Context, x towpath.Replication, load shipment, failure error) error {
	now := s.cfg.Now()
	x.Trying = time.Time{}
	action := "replication.done"
	if failure != nil {
		x.Attempts++
		x.Error, _ = towpath.PublicMessage(failure)
		action = "replication.failed"
	} else {
		x.Attempts, x.Error, x.Content, x.Fresh = 0, "", load.content(), now
		x.Attached, x.Candidates, x.Left = load.attached(), load.candidates, load.left
		if x.Done.IsZero() {
			x.Done = now
		}
	}
	ev := towpath.NewEvent(now, string(towpath.System().Account), action)
	ev.Project, ev.Subject, ev.Release, ev.Reason = x.Project, string(x.Rule), x.Release, x.Error
	return s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		rule, err := tx.ReplicationRule(ctx, x.Project, x.Rule)
		if err != nil {
			if towpath.KindOf(err) == towpath.KindNotFound {
				return nil // it was removed meanwhile
			}
			return err
		}
		if err := tx.SaveReplication(ctx, x); err != nil {
			return err
		}
		if failure == nil {
			if err := place(ctx, tx, rule, load); err != nil {
				return err
			}
			if err := tx.WakePromotions(ctx, x.Project, now); err != nil {
				return err
			}
		} else if x.Attempts > 1 {
			return nil // one event for the first failure, not for each
		}
		return tx.Record(ctx, ev)
	})
}

// place says of the layers of a release that they were compared at their place.
func place(ctx context.Context, tx Tx, rule towpath.ReplicationRule, load shipment) error {
	if !rule.IsPlace() {
		return nil
	}
	release, ok := load.graph.Node(load.graph.Root.Digest)
	if !ok {
		return nil
	}
	for _, l := range release.Blobs {
		if l.MediaType != towpath.MediaTypeComponentLayer && l.MediaType != towpath.MediaTypeFolderLayer {
			continue // the content is a record: it is read whenever the release is judged
		}
		err := tx.PlaceLayer(ctx, towpath.Placed{Project: rule.Project, Rule: rule.Name, Digest: towpath.Digest(l.Digest), Size: l.Size})
		if err != nil {
			return err
		}
	}
	return nil
}
