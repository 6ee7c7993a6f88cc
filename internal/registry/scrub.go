package registry

import (
	"context"
	"io"
	"time"

	"github.com/towpath/towpath/internal/access"
	"github.com/towpath/towpath/internal/towpath"
)

// Harm is what is wrong with a blob.
type Harm string

// What a scrub finds. A damaged blob is put aside and never served.
const (
	Missing Harm = "missing"
	Damaged Harm = "damaged"
	// Unreadable is a blob that the disk did not give; another try may.
	Unreadable Harm = "unreadable"
)

// Finding is a blob that a record says is there and that can't be used.
type Finding struct {
	Digest   towpath.Digest `json:"digest"`
	Harm     Harm           `json:"harm"`
	NeededBy []string       `json:"neededBy"` // repositories, and projects whose releases need it; at most 20
}

// Scrubbed is a part of a scrub.
type Scrubbed struct {
	Checked  Size           `json:"checked"`
	Findings []Finding      `json:"findings"`
	Next     towpath.Digest `json:"next,omitempty"` // where to go on; empty: this was the last part
}

const (
	scrubBlobs = 1000             // in one part
	scrubTime  = 10 * time.Second // of one part, but for the blob that it reads then
	maxNeeders = 20
)

// Scrub reads what the store is said to have, after a digest, and checks that
// it is there and has its digest. It ends after some seconds and says where to
// go on. What is wrong is recorded.
func (s *Service) Scrub(ctx context.Context, actor towpath.Actor, after towpath.Digest) (Scrubbed, error) {
	const op = "registry.scrub"
	if err := access.Check(actor, access.ServerManage, access.Subject{}); err != nil {
		return Scrubbed{}, err
	}
	if after != "" {
		if err := checkDigest(op, after); err != nil {
			return Scrubbed{}, err
		}
	}
	var digests []towpath.Digest
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		digests, err = tx.HeldAfter(ctx, after, scrubBlobs)
		return err
	})
	out := Scrubbed{Findings: []Finding{}}
	if err != nil {
		return out, err
	}
	deadline := s.cfg.Now().Add(scrubTime)
	for i, d := range digests {
		harm, err := s.examine(ctx, d, &out.Checked)
		if err != nil {
			return out, err
		}
		if harm != "" {
			found, err := s.report(ctx, actor, d, harm)
			if err != nil {
				return out, err
			}
			out.Findings = append(out.Findings, found...)
		}
		if last := i == len(digests)-1; last && len(digests) == scrubBlobs || !last && s.cfg.Now().After(deadline) {
			out.Next = d
			break
		}
	}
	return out, nil
}

// examine reads one blob; empty: it is as it should be.
func (s *Service) examine(ctx context.Context, d towpath.Digest, sum *Size) (Harm, error) {
	r, size, err := s.blobs.Open(ctx, d)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		_ = r.Close() // it was only read
	}
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case err == nil:
		sum.add(size)
		return "", nil
	case towpath.KindOf(err) == towpath.KindNotFound:
		return Missing, nil
	case towpath.KindOf(err) == towpath.KindInternal:
		sum.add(size)
		return Damaged, nil
	}
	return Unreadable, nil
}

// report records a finding, unless what needed the blob was given up meanwhile.
func (s *Service) report(ctx context.Context, actor towpath.Actor, d towpath.Digest, harm Harm) ([]Finding, error) {
	ev := towpath.NewEvent(s.cfg.Now(), string(actor.Account), "registry.damaged")
	ev.Subject, ev.Reason, ev.RequestID = string(d), string(harm), actor.RequestID
	var out []Finding
	err := s.store.Update(ctx, func(ctx context.Context, tx Tx) error {
		out = nil
		by, err := tx.NeededBy(ctx, d, maxNeeders)
		if err != nil || len(by) == 0 {
			return err
		}
		ev, err := withData(ev, map[string][]string{"neededBy": by})
		if err != nil {
			return err
		}
		out = []Finding{{Digest: d, Harm: harm, NeededBy: by}}
		return tx.Record(ctx, ev)
	})
	return out, err
}
