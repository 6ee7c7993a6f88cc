package gate

import (
	"fmt"

	"github.com/towpath/towpath/internal/towpath"
)

// mirrored wants what the release takes from registries outside to be in ours: a
// rollback must not need somebody else's. What a source covers is always waited for.
// Where an environment asks, what nothing covers is as well, and what nobody knows
// is no pass.
func mirrored(in Input) finding {
	asked := in.Environment.Rules.Gates.Mirrored
	images := in.Images
	inputs := map[string]any{"rule": asked, "sources": in.Mirror.Sources, "release": in.Candidate.Release, "images": images.Images, "moving": images.Moving}
	if !asked && len(in.Mirror.Sources) == 0 {
		return allow(map[string]any{"rule": asked}, fmt.Sprintf("%s does not ask that images are mirrored, and no registry is mirrored for %s.", in.Environment.Name, in.Environment.Project))
	}
	if !images.Read(in.Candidate.ID) || images.Release != in.Candidate.Release || images.Project != in.Candidate.Project {
		return wait(inputs, "it opens by itself", fmt.Sprintf("What %s takes from other registries was not looked up yet.", label(in)))
	}
	var moving, here, missing, uncovered, sources []string
	for _, m := range images.Moving {
		moving = append(moving, fmt.Sprintf("%s takes %s from outside, and nobody knows by which digest.", label(in), m))
	}
	for _, i := range images.Images {
		switch _, covered := in.Mirror.Source(i.Source); {
		case !i.Mirrored.IsZero():
			here = append(here, fmt.Sprintf("%s (%s) is mirrored.", i.Name, towpath.Short(i.Digest)))
		case i.Repository == "": // no repository of ours can have its name
			uncovered = append(uncovered, fmt.Sprintf("%s (%s) can't be mirrored: %s.", i.Name, towpath.Short(i.Digest), i.Error))
		case !covered:
			sources = append(sources, i.Source)
			uncovered = append(uncovered, fmt.Sprintf("%s (%s) is mirrored from nowhere: no source covers %s.", i.Name, towpath.Short(i.Digest), i.Source))
		case i.Error != "":
			missing = append(missing, fmt.Sprintf("%s (%s) could not be mirrored yet: %s.", i.Name, towpath.Short(i.Digest), i.Error))
		default:
			missing = append(missing, fmt.Sprintf("%s (%s) is being mirrored.", i.Name, towpath.Short(i.Digest)))
		}
	}
	hint := "it opens once they are there; `towpath registry mirror` shows how far each image is, from where, and what is in its way"
	if !asked {
		hint += "; what no source covers is not waited for here"
	}
	switch said := append(missing, uncovered...); {
	case asked && len(moving) > 0:
		return deny(inputs, "pin it with `towpath lock`, then build again", moving...)
	case asked && len(sources) > 0:
		inputs["uncovered"] = sources
		return wait(inputs, fmt.Sprintf("an administrator of the server says from where: `%s`; until then it stays shut", in.Mirror.Command(sources...)), said...)
	case len(missing) > 0, asked && len(uncovered) > 0:
		return wait(inputs, hint, said...)
	}
	said := append(append(here, uncovered...), moving...)
	if len(said) == 0 {
		said = []string{fmt.Sprintf("%s takes nothing from other registries.", label(in))}
	}
	return allow(inputs, said...)
}
