package oci

import (
	"regexp"
	"slices"

	"github.com/towpath/towpath/internal/towpath"
)

// ParseContent reads a release's content. It accepts only canonical JSON of a
// content that [Encode] would accept.
func ParseContent(b []byte) (*towpath.ReleaseContent, error) {
	const op = "oci.parse-content"
	if len(b) > MaxContent {
		return nil, towpath.E(towpath.KindExhausted, op, "the release's content is larger than %d bytes", MaxContent)
	}
	var c towpath.ReleaseContent
	if err := decodeStrict(op, "release's content", b, &c); err != nil {
		return nil, err
	}
	if err := checkContent(op, &c); err != nil {
		return nil, err
	}
	return &c, nil
}

// Decode reads a release from its manifest and its content, which must be the
// one that the manifest names, with the layers that the manifest names.
func Decode(manifest, content []byte) (*Manifest, *towpath.ReleaseContent, error) {
	const op = "oci.decode"
	m, err := ParseManifest(manifest)
	if err != nil {
		return nil, nil, err
	}
	if got := towpath.DigestOf(content); got != m.Config.Digest || int64(len(content)) != m.Config.Size {
		return nil, nil, towpath.E(towpath.KindInvalid, op, "the release's content has digest %s, its manifest names %s", got, m.Config.Digest)
	}
	c, err := ParseContent(content)
	if err != nil {
		return nil, nil, err
	}
	if !slices.Equal(layersOf(c), m.Layers) {
		return nil, nil, towpath.E(towpath.KindInvalid, op, "the layers of the manifest are not those of the release's content").
			WithHint("publish the manifest that `towpath release build` made")
	}
	return m, c, nil
}

var namePattern = regexp.MustCompile(towpath.NamePattern)

// checkContent refuses a content that contradicts itself: readers find
// components by name and skip what has the same revision.
func checkContent(op string, c *towpath.ReleaseContent) error {
	wrong := func(format string, args ...any) error {
		return towpath.E(towpath.KindInvalid, op, "the release's content is wrong: "+format, args...)
	}
	if c.Schema != towpath.ReleaseSchema {
		return towpath.E(towpath.KindInvalid, op, "the release's content has schema %q; this Towpath reads %s", c.Schema, towpath.ReleaseSchema).
			WithHint("use the version of Towpath that made it")
	}
	if !namePattern.MatchString(string(c.Project)) {
		return wrong("%q is not a project's name", c.Project)
	}
	components := map[towpath.ComponentName]bool{}
	for _, x := range c.Components {
		components[x.Name] = true
	}
	for i, x := range c.Components {
		switch {
		case !namePattern.MatchString(string(x.Name)):
			return wrong("%q is not a component's name", x.Name)
		case i > 0 && c.Components[i-1].Name >= x.Name:
			return wrong("components are not sorted, or %q comes twice", x.Name)
		case !x.Layer.Valid() || x.Size < 0:
			return wrong("the layer of component %q has no digest or size", x.Name)
		}
		for _, on := range x.DependsOn {
			if !components[on] || on == x.Name {
				return wrong("component %q depends on %q", x.Name, on)
			}
		}
	}
	for i, f := range c.Folders {
		if f.Role == "" || !f.Layer.Valid() || f.Size < 0 || i > 0 && c.Folders[i-1].Role >= f.Role {
			return wrong("folder %q has no digest, or is out of order", f.Role)
		}
	}
	for i, p := range c.Pins {
		switch {
		case p.Name == "" || i > 0 && c.Pins[i-1].Name >= p.Name:
			return wrong("pin %q is out of order, or comes twice", shown(p.Name))
		case p.Digest != "" && !p.Digest.Valid():
			return wrong("pin %q has a digest that is none", shown(p.Name))
		case p.Digest == "" && p.Version == "" && p.Commit == "" && !p.Loose:
			return wrong("pin %q stands for nothing", shown(p.Name))
		}
	}
	named := map[towpath.EnvironmentName]bool{}
	for _, e := range c.Environments {
		if !namePattern.MatchString(string(e.Rules.Name)) {
			return wrong("%q is not an environment's name", e.Rules.Name)
		}
		if named[e.Rules.Name] {
			return wrong("environment %q comes twice", e.Rules.Name)
		}
		named[e.Rules.Name] = true
		if err := checkEnvironment(c, e, wrong); err != nil {
			return err
		}
	}
	return nil
}

func checkEnvironment(c *towpath.ReleaseContent, e towpath.ReleaseEnvironment, wrong func(string, ...any) error) error {
	if len(e.Rules.Components) > 0 {
		return wrong("the rules of environment %q carry settings", e.Rules.Name)
	}
	if len(e.Components) != len(c.Components) {
		return wrong("environment %q has %d of %d components", e.Rules.Name, len(e.Components), len(c.Components))
	}
	for i, r := range e.Components {
		x := c.Components[i]
		if r.Name != x.Name {
			return wrong("environment %q has component %q in the place of %q", e.Rules.Name, r.Name, x.Name)
		}
		if r.Revision != towpath.RevisionOf(x.Kind, x.Layer, r.Spec) {
			return wrong("component %q has a revision in environment %q that is not that of its layer and spec", r.Name, e.Rules.Name)
		}
	}
	return nil
}
