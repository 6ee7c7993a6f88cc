package registry

import (
	"context"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// asideGrace is how long what a tag that was put aside may have named is kept from the
// collection of garbage.
const asideGrace = 30 * 24 * time.Hour

// mendTag makes a damaged tag say again what it said when it was written, if its sum
// tells. Otherwise the tag is put aside, with what it said in the ledger, and what no tag
// names in its repository stays for a while, whatever the collection of garbage is
// asked for: it may have been tagged. A finding without a harm: there is none any more.
func (s *Service) mendTag(ctx context.Context, actor towpath.Actor, k TagKey) (f Finding, err error) {
	now := s.cfg.Now()
	err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		f = Finding{}
		t, damaged, err := tx.LockDamagedTag(ctx, k)
		if err != nil || !damaged { // somebody has set it anew since
			return err
		}
		f = k.finding()
		found, err := withData(event(now, actor, "registry.damaged", k.Repository, ""), map[string]string{"tag": t.Tag, "said": string(t.Digest)})
		if err != nil {
			return err
		}
		found.Subject, found.Reason = string(k.Repository)+":"+k.Tag, f.Record
		if err := tx.Record(ctx, found); err != nil {
			return err
		}
		was, proven, err := tx.WrittenTag(ctx, t)
		if err != nil {
			return err
		}
		if proven {
			if f.Repaired, err = tx.RestoreTag(ctx, k, was); err != nil {
				return err
			}
		}
		if f.Repaired {
			mended := event(now, actor, "registry.repaired", was.Repository, was.Digest)
			mended.Reason = was.name() + ", by its sum"
			return tx.Record(ctx, mended)
		}
		until := now.Add(asideGrace)
		f.Why = "it said " + shown(string(t.Digest)) + ", and was put aside: set it again before " + until.UTC().Format(time.DateOnly) +
			"; until then no garbage is made of what has no tag there"
		if err := tx.DeleteTag(ctx, k.Repository, k.Tag); err != nil {
			return err
		}
		return tx.KeepUntagged(ctx, k.Repository, until)
	})
	return f, err
}
