package route

import (
	"slices"
	"time"

	"github.com/towpath/towpath/internal/towpath"
)

// Snapshot is what a router has counted since it started, replacements of its
// process included. Counters grow; one that is lower than before began anew.
type Snapshot struct {
	At     time.Time `json:"at"`
	Bounds []float64 `json:"bounds"` // upper bounds of the buckets, in seconds, without infinity
	Series []Series  `json:"series"` // by route, revision, deployment and release
}

// Series is what was counted of one revision in one route. It exists, with zeros,
// from the moment at which the revision enters the route.
type Series struct {
	Route      string               `json:"route"`
	Revision   towpath.RevisionID   `json:"revision"`
	Deployment towpath.DeploymentID `json:"deployment,omitempty"`
	Release    towpath.Digest       `json:"release,omitempty"`
	Left       bool                 `json:"left,omitempty"` // the route; the series will not be shown again

	Weight   int   `json:"weight"` // now
	InFlight int64 `json:"inFlight"`
	Client   Tally `json:"client"`
	Mirrored Tally `json:"mirrored"` // copies, whose answers nobody got
	// Original are those of Client that were copied to another revision: what the
	// copies are to be compared with.
	Original Tally `json:"original"`
	// Retries counts requests that were sent to another instance because the
	// first one was gone; Dropped those that were not mirrored for want of room, or
	// whose copies say nothing.
	Retries uint64 `json:"retries"`
	Dropped uint64 `json:"dropped"`
}

// Tally is requests by how they were answered and how long that took.
type Tally struct {
	Requests map[Class]uint64 `json:"requests"` // of every class
	Buckets  []uint64         `json:"buckets"`  // by bound, each without those before; the last one is infinity
	Seconds  float64          `json:"seconds"`  // the sum of what is in the buckets
}

// shown are the bounds, in seconds, that metric sources are given: each is a series
// of every revision there, so they are fewer than those that are counted between.
func shown() []float64 {
	return []float64{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
}

// Bucket is requests that took no longer than a bound, in seconds.
type Bucket struct {
	Bound    float64
	Requests uint64
}

// Shown are the tally's buckets as metric sources are given them, each with those
// before, and how many requests there are in all. Bounds are the snapshot's.
func (t Tally) Shown(bounds []float64) (within []Bucket, all uint64) {
	for i, n := range t.Buckets {
		all += n
		if i < len(bounds) && slices.Contains(shown(), bounds[i]) {
			within = append(within, Bucket{bounds[i], all})
		}
	}
	return within, all
}

// Class is how a request was answered: the first digit of its status. What the
// router answers in place of an instance that does not, counts as that.
type Class string

// The classes. An answer that broke off is one of 5xx.
const (
	Class1xx Class = "1xx" // the connection was upgraded
	Class2xx Class = "2xx"
	Class3xx Class = "3xx"
	Class4xx Class = "4xx"
	Class5xx Class = "5xx"
	// Aborted is that the client went away before it had an answer, and before it
	// had waited for one for long.
	Aborted Class = "aborted"
	// Unanswered is that it went away after the instance had let it wait for
	// [Patience] and more, without a word.
	Unanswered Class = "unanswered"
)

// Classes are all of them.
func Classes() []Class {
	return []Class{Class1xx, Class2xx, Class3xx, Class4xx, Class5xx, Aborted, Unanswered}
}

// Patience is how long an instance may be silent before a client that gives up
// is held against it.
const Patience = time.Second

// Drain is what the router is asked to wait for: that no request is under way
// to a revision that gets no new ones.
type Drain struct {
	Route    string             `json:"route"`
	Revision towpath.RevisionID `json:"revision"`
	Wait     time.Duration      `json:"wait"` // at most
}

// Drained is how that ended.
type Drained struct {
	Left int64 `json:"left"` // requests under way; 0: it is drained
}
