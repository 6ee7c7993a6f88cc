package release_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/towpath/towpath/internal/release"
	"github.com/towpath/towpath/internal/towpath"
)

func TestCompare_WhatBelongsToNoComponent(t *testing.T) {
	before := &towpath.ReleaseContent{
		Objectives: []towpath.Objective{{Name: "answers", Kind: towpath.ObjectiveErrors, Target: 0.99, Window: time.Minute}},
		Folders:    []towpath.ReleaseFolder{{Role: "policies", Layer: "sha256:aa"}},
		Requires:   []towpath.Requirement{{Project: "base", Versions: ">=1"}},
		Pins: []towpath.ReleasePin{
			{Pin: towpath.Pin{Name: "golang:1.25", Kind: towpath.ExternalImage}, Loose: true}, {Pin: towpath.Pin{Name: "redis:7", Kind: towpath.ExternalImage, Digest: "sha256:bb"}},
		},
	}
	after := &towpath.ReleaseContent{
		Naming:     "^v",
		Objectives: []towpath.Objective{{Name: "answers", Kind: towpath.ObjectiveErrors, Target: 0.9, Window: time.Hour}},
		Folders:    []towpath.ReleaseFolder{{Role: "policies", Layer: "sha256:cc"}},
		Requires:   []towpath.Requirement{{Project: "base", Component: "db", Versions: ">=2"}},
		Pins: []towpath.ReleasePin{
			{Pin: towpath.Pin{Name: "golang:1.25", Kind: towpath.ExternalImage}, Loose: true}, {Pin: towpath.Pin{Name: "redis:7", Kind: towpath.ExternalImage, Digest: "sha256:dd"}},
		},
	}
	want := []towpath.Change{
		{Path: "folders.policies", Before: "sha256:aa", After: "sha256:cc"},
		{Path: "naming", After: "^v"},
		{Path: "objectives.answers.target", Before: "0.99", After: "0.9"},
		{Path: "objectives.answers.window", Before: "1m0s", After: "1h0m0s"},
		{Path: "pins.redis:7", Before: "sha256:bb", After: "sha256:dd"},
		{Path: "requires.base", Before: ">=1"},
		{Path: "requires.base/db", After: ">=2"},
	}
	if d := cmp.Diff(want, release.Compare(before, after, "").Changes); d != "" {
		t.Error(d)
	}
	if got := release.Compare(after, after, "").Changes; len(got) > 0 {
		t.Errorf("nothing differs, and it says %+v", got)
	}
}
