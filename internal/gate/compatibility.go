package gate

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/towpath"
)

// compatibility wants every version that the release needs to run beside it.
// Nothing here denies: what it needs may be promoted any moment.
func compatibility(in Input) finding {
	requires := slices.Clone(in.Requires)
	slices.SortFunc(requires, func(a, b towpath.Requirement) int {
		return cmp.Or(cmp.Compare(a.Project, b.Project), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Versions, b.Versions))
	})
	requires = slices.Compact(requires)
	var found []Running
	inputs := map[string]any{"requires": requires}
	if len(requires) == 0 {
		inputs["running"] = found
		return allow(inputs, "The release needs no other project.")
	}
	var good, open []string
	for _, r := range requires {
		running := matching(in.Running, r)
		found = append(found, running...)
		if len(running) == 0 {
			open = append(open, fmt.Sprintf("It needs %s %s, and none runs in %s.", needed(r), r.Versions, in.Environment.Name))
		}
		for _, x := range running {
			ok, err := Satisfies(x.Version, r.Versions)
			switch {
			case err != nil:
				open = append(open, fmt.Sprintf("It needs %s %s, which can't be judged: %v.", needed(r), r.Versions, err))
			case !ok:
				open = append(open, fmt.Sprintf("It needs %s %s, and %s runs in %s.", needed(r), r.Versions, x.Version, in.Environment.Name))
			default:
				good = append(good, fmt.Sprintf("It needs %s %s, and %s runs.", needed(r), r.Versions, x.Version))
			}
		}
	}
	inputs["running"] = found
	if len(open) > 0 {
		return wait(inputs, "promote a fitting version of what it needs first", append(open, good...)...)
	}
	return allow(inputs, good...)
}

func matching(running []Running, r towpath.Requirement) []Running {
	out := slices.DeleteFunc(slices.Clone(running), func(x Running) bool {
		return x.Project != r.Project || (r.Component != "" && x.Component != r.Component)
	})
	slices.SortFunc(out, func(a, b Running) int {
		return cmp.Or(cmp.Compare(a.Component, b.Component), cmp.Compare(a.Version, b.Version))
	})
	return slices.Compact(out)
}

func needed(r towpath.Requirement) string {
	if r.Component == "" {
		return string(r.Project)
	}
	return string(r.Project) + "/" + string(r.Component)
}

// Satisfies reports whether a semver version lies in a range such as
// ">=1.2 <2". Build metadata is ignored. A pre-release is compared by semver's
// order, and the version that it leads to must lie in the range as well:
// 1.3.0-dev.4 is in ">=1.2 <2"; 2.0.0-rc.1 is not, it has what made 2 a new
// major version; 1.2.0-rc.1 is not, it comes before 1.2.0. A range that names
// pre-releases itself is taken literally, and * is every version.
func Satisfies(version, versions string) (bool, error) {
	c, err := semver.NewConstraint(versions)
	if err != nil {
		return false, fmt.Errorf("%q is no range of versions", versions)
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return false, fmt.Errorf("%q is no semantic version", version)
	}
	if versions == "*" || c.Check(v) {
		return true, nil
	}
	if v.Prerelease() == "" {
		return false, nil
	}
	c.IncludePrerelease = true
	core, err := v.SetPrerelease("")
	if err != nil {
		return false, fmt.Errorf("%q is no semantic version", version)
	}
	return c.Check(v) && c.Check(&core), nil
}
