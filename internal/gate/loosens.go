package gate

import (
	"fmt"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// Loosens lists, as sentences, what proposed rules loosen against those in
// force. It is for display in plans: the proposal takes effect after it was
// promoted under the rules in force. What can't be compared (a window that
// changed) counts as loosened.
func Loosens(inForce, proposed towpath.EnvironmentSpec) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if inForce.From != "" && proposed.From != inForce.From {
		if proposed.From == "" {
			say("Candidates need not come from %s any more.", inForce.From)
		} else {
			say("Candidates come from %s instead of %s.", proposed.From, inForce.From)
		}
	}
	if inForce.Promotion != towpath.PromotionAutomatic && proposed.Promotion == towpath.PromotionAutomatic {
		say("Promotions become automatic.")
	}
	if inForce.Branch != "" && proposed.Branch != inForce.Branch {
		say("The branch %s is not watched for foreign commits any more.", inForce.Branch)
	}
	if proposed.Rollout != "" && inForce.Rollout != proposed.Rollout {
		switch proposed.Rollout {
		case towpath.StrategyBlueGreen:
			say("Traffic moves at once, without canaries.")
		case towpath.StrategyAllAtOnce:
			say("What runs stops before what replaces it starts.")
		}
	}
	if old, next := inForce.WatchTime(), proposed.WatchTime(); next < old {
		say("Alerts roll back what was deployed for %s instead of %s.", span(next), span(old))
	}
	if proposed.Gates.Soak < inForce.Gates.Soak {
		say("The soak time falls from %s to %s.", span(inForce.Gates.Soak), span(proposed.Gates.Soak))
	}
	if old, next := inForce.Gates.Age, proposed.Gates.Age; old > 0 && next <= 0 {
		say("Releases of any age are taken.")
	} else if old > 0 && next > old {
		say("The age of releases rises from %s to %s.", span(old), span(next))
	}
	out = append(out, loosenedApprovals(inForce.Gates.Approvals, proposed.Gates.Approvals)...)
	for _, key := range inForce.Gates.Checks {
		if !slices.Contains(proposed.Gates.Checks, key) {
			say("The check %s is not asked for any more.", key)
		}
	}
	for _, name := range inForce.Gates.Replicated {
		if !slices.Contains(proposed.Gates.Replicated, name) {
			say("A copy by %s is not asked for any more.", name)
		}
	}
	if inForce.Gates.Mirrored && !proposed.Gates.Mirrored {
		say("What comes from other registries need not be mirrored any more.")
	}
	out = append(out, loosenedEvidence(inForce.Gates, proposed.Gates)...)
	return append(out, loosenedWindows(inForce.Gates.Windows, proposed.Gates.Windows)...)
}

func loosenedEvidence(old, next towpath.GateRules) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	switch a, b := old.Signed, next.Signed; {
	case a == nil:
	case b == nil:
		say("Signatures are not asked for any more.")
	default:
		if max(1, b.Count) < max(1, a.Count) {
			say("The number of signatures falls from %d to %d.", max(1, a.Count), max(1, b.Count))
		}
		out = append(out, widened("Signatures by", a.Keys, b.Keys)...)
	}
	switch a, b := old.Provenance, next.Provenance; {
	case a == nil:
	case b == nil:
		say("Provenance is not asked for any more.")
	default:
		out = append(out, widened("Provenance by", a.Keys, b.Keys)...)
		out = append(out, widened("Builds by", a.Builders, b.Builders)...)
		out = append(out, widened("Builds from", a.Repositories, b.Repositories)...)
		out = append(out, widened("Builds at", a.Branches, b.Branches)...)
		if a.Reviewed && !b.Reviewed {
			say("Nobody but the authors needs to have reviewed it any more.")
		}
	}
	switch a, b := old.SBOM, next.SBOM; {
	case a == nil:
	case b == nil:
		say("A bill of materials is not asked for any more.")
	default:
		out = append(out, widened("Bills of materials by", a.Keys, b.Keys)...)
		if a.Complete && !b.Complete {
			say("A bill of materials may be incomplete.")
		}
	}
	return append(out, loosenedScan(old.Scan, next.Scan)...)
}

func loosenedScan(a, b *towpath.ScanRule) []string {
	if a == nil {
		return nil
	}
	if b == nil {
		return []string{"Scans are not asked for any more."}
	}
	out := widened("Scans by", a.Keys, b.Keys)
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if b.Severity.Rank() > a.Severity.Rank() {
		say("Findings that are not %s or worse don't count any more.", b.Severity)
	}
	if a.MaxAge > 0 && (b.MaxAge == 0 || b.MaxAge > a.MaxAge) {
		say("Scans may be older than %s.", span(a.MaxAge))
	}
	for _, tool := range a.Tools {
		if !slices.Contains(b.Tools, tool) {
			say("A scan by %s is not asked for any more.", tool)
		}
	}
	for _, e := range b.Exceptions {
		if old, has := exceptionFor(a.Exceptions, e.ID); !has || old.Until < e.Until {
			say("%s is excepted until %s: %s.", e.ID, e.Until, quote(e.Reason))
		}
	}
	return out
}

// widened says what a list of what counts lets in that it did not; an empty
// list lets in everything.
func widened[T ~string](what string, old, next []T) []string {
	if len(old) == 0 {
		return nil
	}
	if len(next) == 0 {
		return []string{fmt.Sprintf("%s anything else than %s count too.", what, list(textOf(old)))}
	}
	var out []string
	for _, x := range next {
		if !slices.Contains(old, x) {
			out = append(out, fmt.Sprintf("%s %s count too.", what, x))
		}
	}
	return out
}

func textOf[T ~string](names []T) []string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return out
}

func loosenedApprovals(old, next *towpath.ApprovalRule) []string {
	if old == nil {
		return nil
	}
	if next == nil {
		return []string{"Approvals are not asked for any more."}
	}
	var out []string
	if max(1, next.Count) < max(1, old.Count) {
		out = append(out, fmt.Sprintf("The number of approvals falls from %d to %d.", max(1, old.Count), max(1, next.Count)))
	}
	if next.Solo && !old.Solo {
		out = append(out, "Authors and promoters may approve (solo).")
	}
	for _, r := range roles(*next) {
		if !slices.Contains(roles(*old), r) {
			out = append(out, fmt.Sprintf("Approvals by the role %s count too.", r))
		}
	}
	return out
}

func loosenedWindows(old, next []towpath.Window) []string {
	var out []string
	has := func(all []towpath.Window, w towpath.Window) bool {
		return slices.ContainsFunc(all, func(x towpath.Window) bool { return sameWindow(x, w) })
	}
	ofKind := func(all []towpath.Window, k towpath.WindowKind) bool {
		return slices.ContainsFunc(all, func(x towpath.Window) bool { return x.Kind == k })
	}
	for _, w := range old {
		if w.Kind == towpath.WindowDeny && !has(next, w) {
			out = append(out, fmt.Sprintf("The deny window %s is gone or changed.", describeWindow(w)))
		}
	}
	if !ofKind(old, towpath.WindowAllow) {
		return out
	}
	if !ofKind(next, towpath.WindowAllow) {
		return append(out, "Promotions are allowed at all times instead of in windows.")
	}
	for _, w := range next {
		if w.Kind == towpath.WindowAllow && !has(old, w) {
			out = append(out, fmt.Sprintf("Promotions are allowed %s too.", describeWindow(w)))
		}
	}
	return out
}

// sameWindow compares what windows do; a reason may be reworded.
func sameWindow(a, b towpath.Window) bool {
	return a.Kind == b.Kind && a.Start == b.Start && a.End == b.End && a.From == b.From && a.To == b.To &&
		a.Timezone == b.Timezone && slices.Equal(slices.Sorted(slices.Values(a.Days)), slices.Sorted(slices.Values(b.Days)))
}

func describeWindow(r towpath.Window) string {
	w, err := parseWindow(r)
	if err != nil {
		return "(" + err.Error() + ")"
	}
	return w.describe()
}
