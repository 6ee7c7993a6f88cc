package gate

import (
	"fmt"

	"github.com/towpath/towpath/internal/towpath"
)

// mirrored wants what the release takes from registries outside to be in ours:
// a rollback must not need somebody else's. What nobody knows is no pass.
func mirrored(in Input) finding {
	name, asked := in.Environment.Name, in.Environment.Rules.Gates.Mirrored
	images := in.Images
	inputs := map[string]any{"rule": asked, "release": in.Candidate.Release, "images": images.Images, "moving": images.Moving}
	if !asked {
		return allow(map[string]any{"rule": asked}, fmt.Sprintf("%s does not ask that images are mirrored.", name))
	}
	if !images.Read(in.Candidate.ID) || images.Release != in.Candidate.Release || images.Project != in.Candidate.Project {
		return wait(inputs, "it opens by itself", fmt.Sprintf("What %s takes from other registries was not looked up yet.", label(in)))
	}
	if len(images.Moving) > 0 {
		var reasons []string
		for _, m := range images.Moving {
			reasons = append(reasons, fmt.Sprintf("%s takes %s from outside, and nobody knows by which digest.", label(in), m))
		}
		return deny(inputs, "pin it with `towpath lock`, then build again", reasons...)
	}
	var here, missing, uncovered []string
	for _, i := range images.Images {
		_, covered := in.Mirror.Source(i.Source)
		switch {
		case !i.Mirrored.IsZero():
			here = append(here, fmt.Sprintf("%s (%s) is mirrored.", i.Name, towpath.Short(i.Digest)))
		case !covered && i.Repository != "":
			uncovered = append(uncovered, i.Source)
			missing = append(missing, fmt.Sprintf("%s (%s) is mirrored from nowhere: no source covers %s.", i.Name, towpath.Short(i.Digest), i.Source))
		case i.Error != "":
			missing = append(missing, fmt.Sprintf("%s (%s) could not be mirrored yet: %s.", i.Name, towpath.Short(i.Digest), i.Error))
		default:
			missing = append(missing, fmt.Sprintf("%s (%s) is being mirrored.", i.Name, towpath.Short(i.Digest)))
		}
	}
	if len(uncovered) > 0 {
		inputs["uncovered"] = uncovered
		return wait(inputs, fmt.Sprintf("an administrator of the server says from where: `%s`; until then it stays shut", in.Mirror.Command(uncovered...)), missing...)
	}
	if len(missing) > 0 {
		return wait(inputs, "it opens once they are there; `towpath registry mirror` shows how far each image is, from where, and what is in its way", missing...)
	}
	if len(here) == 0 {
		here = []string{fmt.Sprintf("%s takes nothing from other registries.", label(in))}
	}
	return allow(inputs, here...)
}
