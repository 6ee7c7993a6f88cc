package apitest

import (
	"context"
	"sync"

	"github.com/towpath/towpath/internal/http/rest"
	"github.com/towpath/towpath/internal/towpath"
)

// Idempotency is a store of idempotency keys in memory.
type Idempotency struct {
	mu   sync.Mutex
	keys map[string]*rest.Stored
	// Err is answered to every Begin when it is set.
	Err error
	// Made is the subject of a change that requests make before they fail.
	Made string
}

// NewIdempotency makes an empty store.
func NewIdempotency() *Idempotency { return &Idempotency{keys: map[string]*rest.Stored{}} }

// Begin implements [rest.IdempotencyStore].
func (s *Idempotency) Begin(ctx context.Context, account towpath.AccountName, key string, hash towpath.Digest) (context.Context, *rest.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.Err != nil {
		return ctx, nil, s.Err
	}
	if have, ok := s.keys[string(account)+" "+key]; ok {
		copied := *have
		return ctx, &copied, nil
	}
	s.keys[string(account)+" "+key] = &rest.Stored{Hash: hash}
	return ctx, nil, nil
}

// Finish implements [rest.IdempotencyStore].
func (s *Idempotency) Finish(_ context.Context, account towpath.AccountName, key string, status int, body []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[string(account)+" "+key]
	k.Status, k.Body = status, append([]byte(nil), body...)
	return nil
}

// Abandon implements [rest.IdempotencyStore].
func (s *Idempotency) Abandon(_ context.Context, account towpath.AccountName, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, string(account)+" "+key)
	return nil
}

// Lose implements [rest.IdempotencyStore]: Made says whether a change was made.
func (s *Idempotency) Lose(ctx context.Context, account towpath.AccountName, key string) error {
	if s.Made == "" {
		return s.Abandon(ctx, account, key)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[string(account)+" "+key]
	k.Lost, k.Subject = true, s.Made
	return nil
}

// Bodies is everything that is stored.
func (s *Idempotency) Bodies() (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.keys {
		all = append(all, string(k.Body))
	}
	return all
}
