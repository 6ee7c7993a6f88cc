package gate

import (
	"cmp"
	"slices"
	"strings"

	"github.com/towpath/towpath/internal/towpath"
)

// closing are the statements in force that close findings, by the ID of these.
type closing map[string][]opinion

// opinion is one statement of somebody.
type opinion struct {
	towpath.VEXStatement
	in towpath.Attestation
}

// closings are the statements in force about what a rule means in these scans, and
// the documents that they are from, the newest first. Of one author (a key) the newest
// statement about a vulnerability in a component counts; of two of one moment the one
// that closes nothing. Authors speak for themselves. At most [maxRelied] documents
// are read: what older ones close stays open.
func closings(rule towpath.ScanRule, scans, good []towpath.Attestation) (closing, []towpath.Attestation) {
	type place struct{ id, component string } // no component: any
	means := map[place]bool{}
	for _, a := range scans {
		for _, f := range a.Scan.Findings {
			if f.Severity.Rank() >= rule.Severity.Rank() {
				in := towpath.VEXStatement{PURL: f.PURL, Ref: f.Ref, In: f.In}
				means[place{f.ID, in.Component()}], means[place{f.ID, ""}] = true, true
			}
		}
	}
	var all []opinion
	for _, a := range good {
		if a.VEX == nil {
			continue
		}
		for _, s := range a.VEX.Statements {
			if means[place{s.ID, s.Component()}] {
				all = append(all, opinion{s, a})
			}
		}
	}
	slices.SortFunc(all, func(a, b opinion) int {
		return cmp.Or(saidAt(b.in).Compare(saidAt(a.in)), b.in.First.Compare(a.in.First), rank(a.State.Closes())-rank(b.State.Closes()),
			strings.Compare(string(a.in.Artifact), string(b.in.Artifact)), strings.Compare(string(a.State), string(b.State)), strings.Compare(a.Justification, b.Justification))
	})
	type of struct{ by, id, component string } // no component: all of them
	out, known := closing{}, map[of]bool{}
	var from []towpath.Attestation
	read := map[towpath.Words]bool{}
	for _, s := range all {
		this := of{s.in.KeyID, s.ID, s.Component()}
		if known[this] || known[of{s.in.KeyID, s.ID, ""}] {
			continue
		}
		if w := s.in.Words(); !read[w] {
			if len(from) == maxRelied {
				break
			}
			read[w] = true
			from = append(from, s.in)
		}
		known[this] = true
		if s.State.Closes() {
			out[s.ID] = append(out[s.ID], s)
		}
	}
	return out, from
}

// of is what closes a finding. What was found in more places than are kept of a
// report stays open: nobody can tell whether they are closed too.
func (c closing) of(f towpath.ScanFinding) (Closed, bool) {
	if f.Elsewhere {
		return Closed{}, false
	}
	for _, s := range c[f.ID] {
		if s.About(f) {
			return Closed{ID: f.ID, Severity: f.Severity, In: f.In, Key: s.in.Key, State: s.State, Justification: s.Justification}, true
		}
	}
	return Closed{}, false
}
