package place

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/towpath/towpath/internal/blob"
	"github.com/towpath/towpath/internal/towpath"
)

// Open reads a blob, from its place when the store does not have it. A layer is
// compared before anybody gets a byte of it, and kept then.
func (s *Service) Open(ctx context.Context, d towpath.Digest) (io.ReadCloser, int64, error) {
	r, size, err := s.Store.Open(ctx, d)
	if !missing(err) {
		return r, size, err
	}
	for range s.cfg.Attempts { // it may be let go again before it is opened
		if found, fetchErr := s.fetch(ctx, d); fetchErr != nil {
			return nil, 0, fetchErr
		} else if !found {
			return nil, 0, err
		}
		if r, size, err = s.Store.Open(ctx, d); !missing(err) {
			return r, size, err
		}
	}
	return nil, 0, towpath.E(towpath.KindUnavailable, "place.open", "the layer is let go as soon as it is here").On(string(d)).
		WithHint("try again; if it stays so, let the place's rule keep layers longer")
}

// Stat describes a blob, here or at its place.
func (s *Service) Stat(ctx context.Context, d towpath.Digest) (blob.Info, error) {
	info, err := s.Store.Stat(ctx, d)
	if !missing(err) {
		return info, err
	}
	if size, away, awayErr := s.recorded(ctx, d); awayErr != nil {
		return info, awayErr
	} else if away {
		return blob.Info{Digest: d, Size: size}, nil
	}
	return info, err
}

// Away is the size of a layer that is at a place and not here.
func (s *Service) Away(ctx context.Context, d towpath.Digest) (size int64, away bool, err error) {
	if _, err := s.Store.Stat(ctx, d); !missing(err) {
		return 0, false, err
	}
	return s.recorded(ctx, d)
}

func (s *Service) recorded(ctx context.Context, d towpath.Digest) (int64, bool, error) {
	if d.Algorithm() == "" {
		return 0, false, nil
	}
	rules, size, err := s.places(ctx, d)
	return size, len(rules) > 0, err
}

// turn is a fetch of one layer; who waits for it counts.
type turn struct {
	token   chan struct{}
	waiting int
}

// fetch brings a layer here; false: no place has it. One caller after the other
// does, each with its own patience, and all but the first find it here.
func (s *Service) fetch(ctx context.Context, d towpath.Digest) (found bool, err error) {
	if d.Algorithm() == "" {
		return false, nil
	}
	bounded, cancel := context.WithTimeout(ctx, s.cfg.Longest)
	defer cancel()
	found, err = s.fetchWhole(bounded, d)
	if err != nil && bounded.Err() != nil && ctx.Err() == nil {
		err = towpath.E(towpath.KindUnavailable, "place.read", "the layer is at the place of releases only, and did not come from there within %s", s.cfg.Longest).
			On(string(d)).WithCause(err).
			WithHint("see how fast that registry answers; nothing is lost, and what needs the layer tries again")
	}
	return found, err
}

// fetchWhole is [Service.fetch] for as long as its context lasts.
func (s *Service) fetchWhole(ctx context.Context, d towpath.Digest) (found bool, err error) {
	leave, err := s.queue(ctx, d)
	if err != nil {
		return false, err
	}
	defer leave()
	if _, err := s.Store.Stat(ctx, d); !missing(err) {
		return err == nil, err
	}
	rules, size, err := s.places(ctx, d)
	if err != nil || len(rules) == 0 {
		return false, err
	}
	for _, rule := range rules {
		if err = s.from(ctx, rule, d, size); err == nil || ctx.Err() != nil {
			return true, err
		}
	}
	return true, err
}

func (s *Service) queue(ctx context.Context, d towpath.Digest) (leave func(), err error) {
	s.mu.Lock()
	t := s.turns[d]
	if t == nil {
		t = &turn{token: make(chan struct{}, 1)}
		s.turns[d] = t
	}
	t.waiting++
	s.mu.Unlock()
	gone := func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if t.waiting--; t.waiting == 0 {
			delete(s.turns, d)
		}
	}
	select {
	case t.token <- struct{}{}:
		return func() { <-t.token; gone() }, nil
	case <-ctx.Done():
		gone()
		return nil, ctx.Err()
	}
}

// from fetches a layer from one place, in several attempts: what broke off or
// came damaged may come whole the next time.
func (s *Service) from(ctx context.Context, rule towpath.ReplicationRule, d towpath.Digest, size int64) error {
	place, err := s.connect(rule)
	if err != nil {
		return err
	}
	for failures := 1; ; failures++ {
		err := s.once(ctx, place, d, size)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		kind := towpath.KindOf(err)
		if failures >= s.cfg.Attempts || kind != towpath.KindUnavailable && kind != towpath.KindInternal {
			return explain(rule, d, err)
		}
		timer := time.NewTimer(s.cfg.Backoff.Delay(failures))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

var errStalled = errors.New("the place sends nothing")

// once is one attempt. The local store compares what comes with the digest.
func (s *Service) once(ctx context.Context, place Registry, d towpath.Digest, size int64) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(s.cfg.Stall, func() { cancel(errStalled) })
	defer watch.Stop()
	err := func() error {
		body, err := place.Blob(ctx, descriptor(d, size))
		if err != nil {
			return err
		}
		defer body.Close()
		came := &watched{Reader: body, more: func() { watch.Reset(s.cfg.Stall) }}
		_, _, err = s.Put(ctx, d, came, max(size, 1))
		if err != nil && came.err == nil && (towpath.KindOf(err) == towpath.KindInvalid || errors.Is(err, blob.ErrLimit)) {
			return towpath.E(towpath.KindInternal, "place.read", "it sent something else").On(string(d)).WithCause(err)
		}
		return err
	}()
	if err != nil && errors.Is(context.Cause(ctx), errStalled) {
		return towpath.E(towpath.KindUnavailable, "place.read", "it sent nothing for %s", s.cfg.Stall).On(string(d)).WithCause(errStalled)
	}
	return err
}

// watched tells whenever something comes, and keeps what broke it off.
type watched struct {
	io.Reader
	more func()
	err  error
}

// Read implements [io.Reader].
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.Reader.Read(p)
	if n > 0 {
		w.more()
	}
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// explain says of a layer that can't be had from its place what to do.
func explain(rule towpath.ReplicationRule, d towpath.Digest, err error) error {
	const op = "place.read"
	why, _ := towpath.PublicMessage(err)
	switch towpath.KindOf(err) {
	case towpath.KindNotFound, towpath.KindInternal:
		// Never not-found: a record says that there is such a layer.
		return towpath.E(towpath.KindInternal, op, "the layer is not in the store, and its place %s does not have it any more: %s", title(rule), why).
			On(string(d)).WithCause(err).
			WithHint("publish the release again from its commit; `towpath registry scrub` lists all that is lost")
	case towpath.KindExhausted:
		return err // the disk is full, or the place sends too much; it says what to do
	}
	return towpath.E(towpath.KindUnavailable, op, "the layer is at the place of releases only, and that can't be read: %s: %s", title(rule), why).
		On(string(d)).WithCause(err).
		WithHint("see whether that registry is up and the server's login is right; nothing is lost, and what needs the layer tries again")
}

// Ask asks the places of a layer whether they have it, without reading it. What
// none has is not-found.
func (s *Service) Ask(ctx context.Context, d towpath.Digest) error {
	return s.try(ctx, d, func(ctx context.Context, place Registry, size int64) error {
		has, err := place.HasBlob(ctx, descriptor(d, size))
		if err == nil && !has {
			err = towpath.E(towpath.KindNotFound, "place.ask", "it is not there")
		}
		return err
	})
}

// Read reads a layer at its places and compares it, and keeps nothing. What none
// has is not-found, what is something else internal.
func (s *Service) Read(ctx context.Context, d towpath.Digest) error {
	return s.try(ctx, d, func(ctx context.Context, place Registry, size int64) error {
		body, err := place.Blob(ctx, descriptor(d, size))
		if err != nil {
			return err
		}
		defer body.Close()
		h := towpath.NewHash(d.Algorithm())
		if _, err := io.Copy(h, io.LimitReader(body, size+1)); err != nil {
			return err
		}
		if got := towpath.DigestSum(d.Algorithm(), h); got != d {
			return towpath.E(towpath.KindInternal, "place.read", "what is there has the digest %s", got).On(string(d))
		}
		return nil
	})
}

// try does something at each place of a layer until it succeeds.
func (s *Service) try(ctx context.Context, d towpath.Digest, f func(ctx context.Context, place Registry, size int64) error) error {
	rules, size, err := s.places(ctx, d)
	if err == nil && len(rules) == 0 {
		err = towpath.E(towpath.KindNotFound, "place.ask", "no place has it").On(string(d))
	}
	for _, rule := range rules {
		var place Registry
		if place, err = s.connect(rule); err != nil {
			continue
		}
		err = func() error {
			ctx, cancel := context.WithTimeout(ctx, readTime)
			defer cancel()
			return f(ctx, place, size)
		}()
		if err == nil || ctx.Err() != nil {
			break
		}
	}
	return err
}

// readTime bounds one question to a place.
const readTime = 10 * time.Minute
