package build

import (
	"context"
	"fmt"
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/towpath/towpath/internal/towpath"
)

// label decides the release's version: the one that was asked for, or one made
// from the version tag before the commit.
func (r *run) label(ctx context.Context) error {
	version := r.req.Version
	if version == "" {
		tag, distance, err := r.source.Describe(ctx, r.commit.ID)
		if err != nil {
			return err
		}
		if version, err = automatic(tag, distance, r.commit.ID); err != nil {
			return err
		}
	}
	if err := CheckVersion(version, r.project.Naming); err != nil {
		return err
	}
	r.result.Version = version
	return nil
}

// CheckVersion refuses a label that is not a semantic version (build metadata
// is allowed) or does not match the project's naming rule, if there is one.
func CheckVersion(version, naming string) error {
	const op = "build.version"
	if _, err := semver.StrictNewVersion(version); err != nil {
		hint := "use MAJOR.MINOR.PATCH, such as 1.4.0 or 1.4.0-rc.1+build.7"
		if bare := strings.TrimPrefix(version, "v"); bare != version {
			if _, err := semver.StrictNewVersion(bare); err == nil {
				hint = "leave out the v: " + bare
			}
		}
		return towpath.E(towpath.KindInvalid, op, "%q is not a semantic version: %s", version, reason(err)).WithHint("%s", hint)
	}
	if naming == "" {
		return nil
	}
	rule, err := regexp.Compile(naming)
	if err != nil {
		return towpath.E(towpath.KindInvalid, op, "the project's naming rule %q is not a regular expression", naming).
			WithHint("correct `naming` in %s", ProjectFile).WithCause(err)
	}
	if !rule.MatchString(version) {
		return towpath.E(towpath.KindInvalid, op, "the version %q does not follow the project's naming rule %s", version, naming).
			WithHint("choose another with --version, or change `naming` in %s", ProjectFile)
	}
	return nil
}

// reason is the library's message without what ours says already.
func reason(err error) string { return strings.ToLower(err.Error()) }

// automatic makes a version of the nearest tag: the tag's own on the tagged
// commit; after it, a pre-release of the next patch, which sorts after the tag
// and before that patch. The commit is build metadata, so that two branches
// can't claim the same label.
func automatic(tag string, distance int, commit towpath.CommitID) (string, error) {
	suffix := fmt.Sprintf("-dev.%d+g%s", distance, commit[:min(len(commit), 7)])
	if tag == "" {
		return "0.0.0" + suffix, nil
	}
	v, err := semver.StrictNewVersion(strings.TrimPrefix(tag, "v"))
	if err != nil {
		return "", towpath.E(towpath.KindInvalid, "build.version", "the tag %q is not a semantic version", tag).
			WithHint("name the version with --version").WithCause(err)
	}
	if distance == 0 {
		return v.String(), nil
	}
	if v.Prerelease() != "" {
		// The next patch of 1.2.0-rc.1 is 1.2.0 itself.
		return fmt.Sprintf("%d.%d.%d-%s.dev.%d+g%s", v.Major(), v.Minor(), v.Patch(), v.Prerelease(), distance, commit[:min(len(commit), 7)]), nil
	}
	return fmt.Sprintf("%d.%d.%d%s", v.Major(), v.Minor(), v.Patch()+1, suffix), nil
}
