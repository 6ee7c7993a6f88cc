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

// Finding is a blob that a record says is there and that can't be used, or a record
// that is damaged.
type Finding struct {
	Digest   towpath.Digest `json:"digest"`
	Record   string         `json:"record,omitempty"` // what it is about when it is no blob: the tag shop:1.4.0
	Harm     Harm           `json:"harm"`
	NeededBy []string       `json:"neededBy"` // repositories, and projects whose releases need it; at most 20
	Repaired bool           `json:"repaired,omitempty"`
	// Why is why it could not be repaired, when that was asked for, or what to do
	// about a record.
	Why string `json:"why,omitempty"`
}

// ScrubRequest asks for a part of a scrub.
type ScrubRequest struct {
	After towpath.Digest // where the part before ended
	// Repair names the rule of replication from whose place what is damaged is
	// fetched again; empty: nothing is repaired.
	Repair towpath.ReplicationName
	// Places is to read and compare what is only at the places of releases too;
	// they are asked whether they have it otherwise.
	Places bool
}

// Scrubbed is a part of a scrub.
type Scrubbed struct {
	Checked Size `json:"checked"`
	// Away is what is at the places of releases only; they say that they have it,
	// or were read.
	Away     Size           `json:"away,omitzero"`
	Findings []Finding      `json:"findings"`
	Next     towpath.Digest `json:"next,omitempty"` // where to go on; empty: this was the last part
}

const (
	scrubBlobs = 1000             // in one part
	scrubTime  = 10 * time.Second // of one part, but for the blob that it reads then
	maxNeeders = 20
)

// Scrub reads what the store is said to have, after a digest, and checks that
// it is there and has its digest. It ends after some seconds and says where to go on;
// its last part looks at the records of tags and artifacts, and at the database itself,
// all of which it reads. What is wrong is recorded, and repaired when that was asked
// for; a record, which takes no other place, always.
func (s *Service) Scrub(ctx context.Context, actor towpath.Actor, r ScrubRequest) (Scrubbed, error) {
	const op = "registry.scrub"
	if err := access.Check(actor, access.ServerManage, access.Subject{}); err != nil {
		return Scrubbed{}, err
	}
	if r.After != "" {
		if err := checkDigest(op, r.After); err != nil {
			return Scrubbed{}, err
		}
	}
	if err := s.canRepair(ctx, r); err != nil {
		return Scrubbed{}, err
	}
	var digests []towpath.Digest
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) error {
		var err error
		digests, err = tx.HeldAfter(ctx, r.After, scrubBlobs)
		return err
	})
	out := Scrubbed{Findings: []Finding{}}
	if err != nil {
		return out, err
	}
	deadline := s.cfg.Now().Add(scrubTime)
	for i, d := range digests {
		harm, err := s.examine(ctx, d, r.Places, &out)
		if err != nil {
			return out, err
		}
		if harm == "" {
			s.sound(string(d))
		} else {
			found, err := s.report(ctx, actor, d, harm)
			if err != nil {
				return out, err
			}
			for j := range found {
				if r.Repair != "" {
					s.repair(ctx, actor, r.Repair, &found[j])
				}
			}
			out.Findings = append(out.Findings, found...)
		}
		if last := i == len(digests)-1; last && len(digests) == scrubBlobs || !last && s.cfg.Now().After(deadline) {
			out.Next = d
			break
		}
	}
	if out.Next != "" {
		return out, nil
	}
	damaged, err := s.records(ctx, actor)
	out.Findings = append(out.Findings, damaged...)
	return out, err
}

// canRepair refuses to begin what could not repair anything: hours later somebody
// would learn that of the rule that was meant there is none.
func (s *Service) canRepair(ctx context.Context, r ScrubRequest) error {
	switch {
	case r.Repair == "":
		return nil
	case s.cfg.Replicas == nil:
		return towpath.E(towpath.KindInvalid, "registry.repair", "this server copies nothing elsewhere").WithHint("leave the repair away")
	case r.After != "": // it has begun
		return nil
	}
	return s.cfg.Replicas.Ready(ctx, r.Repair)
}

// examine reads one blob; empty: it is as it should be.
func (s *Service) examine(ctx context.Context, d towpath.Digest, places bool, out *Scrubbed) (Harm, error) {
	if s.cfg.Away != nil {
		if size, away, err := s.cfg.Away.Away(ctx, d); err != nil || away {
			if err == nil {
				err = s.elsewhere(ctx, d, places)
			}
			return harm(ctx, err, size, &out.Away)
		}
	}
	r, size, err := s.blobs.Open(ctx, d)
	if err == nil {
		_, err = io.Copy(io.Discard, r)
		_ = r.Close() // it was only read
	}
	return harm(ctx, err, size, &out.Checked)
}

// elsewhere looks for a blob at its place.
func (s *Service) elsewhere(ctx context.Context, d towpath.Digest, read bool) error {
	if read {
		return s.cfg.Away.Read(ctx, d)
	}
	return s.cfg.Away.Ask(ctx, d)
}

// harm is what an error of looking at a blob means.
func harm(ctx context.Context, err error, size int64, sum *Size) (Harm, error) {
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

// sound has a finding about a blob or a record recorded again when it is harmed once more.
func (s *Service) sound(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.recorded, what)
}

// news reports whether the ledger was not told yet, since the server began, that a
// blob or a record can't be used. That what was damaged is put aside, and so missing, is none.
func (s *Service) news(what string, harm Harm) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	told, ok := s.recorded[what]
	return !ok || told == Unreadable && harm != Unreadable
}

func (s *Service) told(what string, harm Harm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.recorded[what] = harm
}

// report tells a finding, unless what needed the blob was given up meanwhile, and
// records it once, however often somebody scrubs.
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
		if !s.news(string(d), harm) {
			return nil
		}
		return tx.Record(ctx, ev)
	})
	if err == nil && len(out) > 0 && s.news(string(d), harm) {
		s.told(string(d), harm)
	}
	return out, err
}

// repair fetches a blob from a replica of any project that needs it. What is
// fetched is compared with its digest before it takes the place of what is
// damaged.
func (s *Service) repair(ctx context.Context, actor towpath.Actor, rule towpath.ReplicationName, f *Finding) {
	var stored towpath.Stored
	var projects []towpath.ProjectName
	err := s.store.View(ctx, func(ctx context.Context, tx Tx) (err error) {
		if stored, err = tx.Stored(ctx, f.Digest); err == nil {
			projects, err = tx.ProjectsNeeding(ctx, f.Digest)
		}
		return err
	})
	if err == nil {
		err = s.fetchAny(ctx, projects, rule, stored)
	}
	if err == nil {
		ev := towpath.NewEvent(s.cfg.Now(), string(actor.Account), "registry.repaired")
		ev.Subject, ev.Reason, ev.RequestID = string(f.Digest), "from "+string(rule), actor.RequestID
		err = s.store.Update(ctx, func(ctx context.Context, tx Tx) error { return tx.Record(ctx, ev) })
	}
	if err == nil {
		s.sound(string(f.Digest))
	}
	if f.Repaired = err == nil; !f.Repaired {
		f.Why, _ = towpath.PublicMessage(err)
	}
}

// fetchAny fetches a blob from the replica of the first project that has a rule and
// sound content. What is wrong with a replica says more than that others have none.
func (s *Service) fetchAny(ctx context.Context, projects []towpath.ProjectName, rule towpath.ReplicationName, c towpath.Stored) error {
	none := error(towpath.E(towpath.KindNotFound, "registry.repair", "no project that needs it has the rule %s", rule))
	for _, p := range projects {
		err := s.fetch(ctx, p, rule, c)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if towpath.KindOf(none) == towpath.KindNotFound {
			none = err
		}
	}
	return none
}

func (s *Service) fetch(ctx context.Context, p towpath.ProjectName, rule towpath.ReplicationName, c towpath.Stored) error {
	r, err := s.cfg.Replicas.Open(ctx, p, rule, c)
	if err != nil {
		return err
	}
	defer r.Close()
	_, _, err = s.blobs.Put(ctx, c.Digest, r, max(c.Size, 1))
	return err
}
