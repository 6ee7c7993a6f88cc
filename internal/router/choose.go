package router

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"hash/fnv"
	"math"
	"net/http"
	"regexp"
	"sync"

	"github.com/towpath/towpath/internal/kind/process/route"
	"github.com/towpath/towpath/internal/towpath"
)

// chosen is where a request goes.
type chosen struct {
	plan   *plan
	to     *upstream
	first  int     // of its instances to try
	seat   *flying // of the instance that has it; nil without instances
	cookie bool    // the client is to be given the revision's cookie
}

// wanted is where a request goes whatever the weights say, nil when they decide:
// what a match names, else where its client was before.
func (p *plan) wanted(r *http.Request, s *stuck) chosen {
	for _, m := range p.matches {
		if m.fits(r) && len(m.to.Instances) > 0 {
			return chosen{to: m.to}
		}
	}
	t := p.traffic.Sticky
	switch {
	case t == nil:
		return chosen{}
	case t.Toward != "":
		return p.comes(r, t)
	case t.Cookie != "":
		if c, err := r.Cookie(t.Cookie); err == nil {
			for _, b := range p.backends {
				if b.open() && b.token == c.Value {
					return chosen{to: b}
				}
			}
		}
		return chosen{cookie: true}
	}
	if v := r.Header.Get(t.Header); v != "" {
		return chosen{to: p.ofClient(v, s)}
	}
	return chosen{}
}

// matcher is a [route.Match] at work.
type matcher struct {
	route.Match
	pattern *regexp.Regexp
	to      *upstream
}

func (m *matcher) fits(r *http.Request) bool {
	if m.Cookie != "" {
		c, err := r.Cookie(m.Cookie)
		return err == nil && m.is(c.Value)
	}
	for _, v := range r.Header.Values(m.Header) {
		if m.is(v) {
			return true
		}
	}
	return false
}

func (m *matcher) is(v string) bool {
	if m.pattern != nil {
		return m.pattern.MatchString(v)
	}
	return v == m.Exact
}

// matchers prepares a route's matches. Changes with a pattern or a revision
// that is none are refused before.
func (p *plan) matchers() []*matcher {
	var out []*matcher
	for _, m := range p.traffic.Match {
		x := &matcher{Match: m, to: p.find(m.Revision)}
		var err error
		if m.Regex != "" {
			x.pattern, err = regexp.Compile(m.Regex)
		}
		if err == nil && x.to != nil {
			out = append(out, x)
		}
	}
	return out
}

// token is a revision as clients know it from their cookie.
func token(rev towpath.RevisionID) string {
	sum := sha256.Sum256([]byte(rev))
	return hex.EncodeToString(sum[:8])
}

// maxStuck is how many clients a route remembers by a header, twice.
const maxStuck = 1 << 16

// stuck is which revision each client had. The clients that were not seen for
// long are forgotten: it has two halves, and the older one goes when the newer
// one is full.
type stuck struct {
	mu         sync.Mutex
	newer, old map[uint64]towpath.RevisionID
}

func (s *stuck) get(client uint64) towpath.RevisionID {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rev, ok := s.newer[client]; ok {
		return rev
	}
	rev, ok := s.old[client]
	if ok {
		s.putLocked(client, rev)
	}
	return rev
}

func (s *stuck) put(client uint64, rev towpath.RevisionID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.putLocked(client, rev)
}

func (s *stuck) putLocked(client uint64, rev towpath.RevisionID) {
	if s.newer == nil || len(s.newer) >= maxStuck {
		s.old, s.newer = s.newer, map[uint64]towpath.RevisionID{}
	}
	s.newer[client] = rev
}

// ofClient is the revision of a client that a header's value names: the one that
// it had, else one by weight that is the same for the same value, so that most
// clients keep theirs when a router starts that remembers nobody.
func (p *plan) ofClient(value string, s *stuck) *upstream {
	client := hash(value, "")
	if b := p.find(s.get(client)); b != nil && b.open() {
		return b
	}
	var best *upstream
	highest := math.Inf(-1)
	for _, b := range p.backends {
		if !b.open() {
			continue
		}
		// Weighted rendezvous hashing: when a weight grows, clients move to
		// that revision only.
		u := (float64(hash(value, string(b.Revision))>>11) + 0.5) / (1 << 53)
		if score := -float64(b.Weight) / math.Log(u); cmp.Compare(score, highest) > 0 {
			best, highest = b, score
		}
	}
	if best != nil {
		s.put(client, best.Revision)
	}
	return best
}

// hash is one that stays the same from router to router.
func hash(value, salt string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(salt))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(value))
	x := h.Sum64() // of short values its high bits hardly differ; MurmurHash3's finaliser mixes them
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}
