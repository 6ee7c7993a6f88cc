package pin_test

import (
	"strings"
	"testing"

	"github.com/towpath/towpath/internal/pin"
	"github.com/towpath/towpath/internal/towpath"
)

func TestParseImage(t *testing.T) {
	for text, want := range map[string]pin.ImageName{
		"redis":                        {Host: "docker.io", Repository: "library/redis", Tag: "latest"},
		"redis:7":                      {Host: "docker.io", Repository: "library/redis", Tag: "7"},
		"docker.io/redis:7":            {Host: "docker.io", Repository: "library/redis", Tag: "7"},
		"index.docker.io/team/app":     {Host: "docker.io", Repository: "team/app", Tag: "latest"},
		"team/app":                     {Host: "docker.io", Repository: "team/app", Tag: "latest"},
		"localhost/app":                {Host: "localhost", Repository: "app", Tag: "latest"},
		"localhost:5000/a/b:c":         {Host: "localhost:5000", Repository: "a/b", Tag: "c"},
		"ghcr.io/a/b@" + sum:           {Host: "ghcr.io", Repository: "a/b", Digest: sum},
		"ghcr.io/a/b:1@" + sum:         {Host: "ghcr.io", Repository: "a/b", Tag: "1", Digest: sum},
		"[::1]:5000/a__b/c-d.e/f--g:1": {Host: "[::1]:5000", Repository: "a__b/c-d.e/f--g", Tag: "1"},
	} {
		if got, err := pin.ParseImage(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "A", "a/B", "a:", "a:b:c d", "a@sha256:1", "a b", "-a", "a/", "/a", "https://a/b", "a\n", "a@" + sum + "\n", strings.Repeat("a", 2000)} {
		if got, err := pin.ParseImage(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

func TestModule(t *testing.T) {
	for source, shown := range map[string]string{
		"git::https://e.com/a?ref=v1&sshkey=hunter2":              "git::https://e.com/a?ref=v1&sshkey=(hidden)",
		"s3::https://e.com/a.zip?aws_access_key_secret=hunter2":   "s3::https://e.com/a.zip?aws_access_key_secret=(hidden)",
		"https://ana:hunter2@e.com/a.zip?hunter2;checksum=md5:1":  "https://e.com/a.zip?(hidden)&checksum=md5:1",
		"oci://e.com/a?tag=1&token=hunter2":                       "oci://e.com/a?tag=1&token=(hidden)",
		"git::ssh://git@e.com/a.git?private_token=hunter2&ref=v1": "git::ssh://git@e.com/a.git?private_token=(hidden)&ref=v1",
	} {
		if ref, err := pin.Module(source, ""); err == nil || ref.Source != shown || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s is shown as %s: %v", source, ref, err)
		}
	}
	for source, want := range map[string]pin.Git{
		"git::https://e.com/a.git//b/c?ref=v1":       {URL: "https://e.com/a.git", Folder: "b/c", Ref: "v1"},
		"git::https://e.com/a.git?depth=1&ref=a/b-c": {URL: "https://e.com/a.git", Ref: "a/b-c"},
		"git::ssh://git@e.com:22/a":                  {URL: "ssh://git@e.com:22/a"},
		"git::git@e.com:a/b.git//c":                  {URL: "git@e.com:a/b.git", Folder: "c"},
	} {
		if _, err := pin.Module(source, ""); err != nil {
			t.Error(err)
		}
		if got, err := pin.ParseGit(source); err != nil || got != want {
			t.Errorf("%s: %+v, %v", source, got, err)
		}
	}
	for _, c := range [][2]string{
		{"git::https://e.com/a?ref=--upload-pack=x", ""}, {"git::https://e.com/a?ref=v*", ""}, {"git::ext::sh", ""}, {"git::https://e.com/a", "1.0.0"},
		{"./modules/a", ""}, {"a/b", "1"}, {"a/b/c", ""}, {"a/b/c", "one"}, {"a/b/c/d", "1"}, {"e.com/a/b/c", "~> x"}, {"git::https://a:b@e.com/a", ""}, {"git::ssh://a:b@e.com/a", ""},
	} {
		if ref, err := pin.Module(c[0], c[1]); err == nil {
			t.Errorf("%v is read as %v", c, ref)
		} else if strings.Contains(ref.String(), "a:b@") || strings.Contains(err.Error(), "a:b@") {
			t.Errorf("the password is shown: %s, %v", ref, err)
		}
	}
}

func TestNewest(t *testing.T) {
	versions := []string{"1.4.0", "1.4.9", "1.5.0-rc1", "1.10.0", "2.0.0", "v3.0.0", "latest", "3.1.0-alpha", ""}
	for _, c := range []struct {
		kind     towpath.ExternalKind
		versions string
		want     string
	}{
		// Terraform's ~> and helm's ~ and ^ differ.
		{towpath.ExternalModule, "~> 1.4", "1.10.0"}, {towpath.ExternalModule, "~> 1.4.0", "1.4.9"}, {towpath.ExternalModule, "~> 1", "v3.0.0"},
		{towpath.ExternalModule, "~> 1.5.0-rc1", "1.5.0-rc1"}, {towpath.ExternalModule, ">= 1.4, < 2", "1.10.0"}, {towpath.ExternalModule, "~> 1.9", "1.10.0"},
		// A version that lacks a part is one version to Terraform, and many to helm.
		{towpath.ExternalModule, "1.4", "1.4.0"}, {towpath.ExternalProvider, "= 1.4", "1.4.0"}, {towpath.ExternalModule, "<= 1.4", "1.4.0"}, {towpath.ExternalModule, "> 1.4, < 1.5", "1.4.9"},
		{towpath.ExternalModule, "!= 3, >= 2", "2.0.0"}, {towpath.ExternalProvider, "3", "v3.0.0"}, {towpath.ExternalModule, "1.5.0-rc1", "1.5.0-rc1"},
		{towpath.ExternalModule, "^1", ""}, {towpath.ExternalModule, "1.x", ""}, {towpath.ExternalModule, "1 || 2", ""}, {towpath.ExternalModule, ">= 1,", ""}, {towpath.ExternalChart, "1.4", "1.4.9"},
		{towpath.ExternalChart, "~1.4", "1.4.9"}, {towpath.ExternalChart, "^1", "1.10.0"}, {towpath.ExternalChart, "*", "v3.0.0"},
		{towpath.ExternalChart, "1.4.0", "1.4.0"}, {towpath.ExternalChart, ">=3.1.0-0", "3.1.0-alpha"}, {towpath.ExternalChart, "9", ""},
	} {
		got, _ := pin.Newest(towpath.External{Kind: c.kind, Version: c.versions}, versions)
		if got != c.want {
			t.Errorf("%s %q: %q, want %q", c.kind, c.versions, got, c.want)
		}
	}
}

func TestPURL(t *testing.T) {
	d := towpath.Digest(sum)
	commit := strings.Repeat("0a", 20)
	oci := "@sha256%3A" + d.Hex() + "?repository_url="
	for _, c := range []struct {
		e    towpath.Pin
		want string
	}{
		{towpath.Pin{Name: "redis:7", Kind: towpath.ExternalImage, Digest: d}, "pkg:oci/redis" + oci + "docker.io/library/redis&tag=7"},
		{towpath.Pin{Name: "ghcr.io:443/a/b@" + sum, Kind: towpath.ExternalImage, Digest: d}, "pkg:oci/b" + oci + "ghcr.io:443/a/b"},
		{towpath.Pin{Name: "redis:7", Kind: towpath.ExternalImage}, ""},
		{towpath.Pin{Name: "oci://ghcr.io/c/redis ^19", Kind: towpath.ExternalChart, Version: "19.0.1", Digest: d}, "pkg:oci/redis" + oci + "ghcr.io/c/redis&tag=19.0.1"},
		{towpath.Pin{Name: "https://e.com/c/redis ^19", Kind: towpath.ExternalChart, Version: "19.0.1+b"}, "pkg:helm/redis@19.0.1%2Bb?repository_url=https://e.com/c"},
		{towpath.Pin{Name: "a/b/c ~> 1", Kind: towpath.ExternalModule, Version: "1.0.0"}, "pkg:terraform/a/b/c@1.0.0"},
		{towpath.Pin{Name: "e.com/a/b/c ~> 1", Kind: towpath.ExternalModule, Version: "1.0.0"}, "pkg:terraform/a/b/c@1.0.0?repository_url=e.com"},
		{towpath.Pin{Name: "git::https://github.com/A/b.git//c?ref=v1", Kind: towpath.ExternalModule, Commit: commit}, "pkg:github/a/b@" + commit},
		{towpath.Pin{Name: "git::git@e.com:a/b.git", Kind: towpath.ExternalModule, Commit: commit}, "pkg:generic/b@" + commit + "?vcs_url=git%2Bgit%40e.com:a/b.git%40" + commit},
		{towpath.Pin{Name: "oci://ghcr.io/a/net//vpc?tag=1.2", Kind: towpath.ExternalModule, Digest: d}, "pkg:oci/net" + oci + "ghcr.io/a/net&tag=1.2"},
		{towpath.Pin{Name: "oci://ghcr.io/a/net?tag=1.2", Kind: towpath.ExternalModule}, ""},
		{towpath.Pin{Name: "hashicorp/aws ~> 5.0", Kind: towpath.ExternalProvider, Version: "5.1.0"}, "pkg:terraform/hashicorp/aws@5.1.0"},
		{towpath.Pin{Name: "registry.terraform.io/hashicorp/aws 5.1.0", Kind: towpath.ExternalProvider, Version: "5.1.0"}, "pkg:terraform/hashicorp/aws@5.1.0"},
		{towpath.Pin{Name: "e.com/acme/own 1.0.0", Kind: towpath.ExternalProvider, Version: "1.0.0"}, "pkg:terraform/acme/own@1.0.0?repository_url=e.com"},
		{towpath.Pin{Name: "by hand", Digest: d}, ""},
	} {
		if got := pin.PURL(c.e); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.e.Name, got, c.want)
		} else if repository, digest, ok := pin.OCIPackage(got); ok != strings.HasPrefix(got, "pkg:oci/") ||
			ok && (digest != d || !strings.Contains(got, "repository_url="+repository)) {
			t.Errorf("%s is read as %s@%s, %t", got, repository, digest, ok)
		}
	}
}

func TestOCIPackage_Refuses(t *testing.T) {
	const digest = "sha256%3Aabababababababababababababababababababababababababababababababab"
	for _, purl := range []string{
		"", "pkg:oci/", "pkg:oci/redis", "pkg:oci/redis@" + digest, "pkg:oci/redis@sha256%3A12?repository_url=docker.io/library/redis",
		"pkg:oci/redis@" + digest + "?repository_url=docker.io/../x", "pkg:oci/redis@" + digest + "?repository_url=http://docker.io/x",
		"pkg:oci/redis@%zz?repository_url=docker.io/x", "pkg:helm/redis@" + digest + "?repository_url=docker.io/x",
	} {
		if r, d, ok := pin.OCIPackage(purl); ok {
			t.Errorf("%q is read as %s@%s", purl, r, d)
		}
	}
}
