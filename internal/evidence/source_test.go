package evidence

import "testing"

// TestSource: whoever may push to some branch chooses its name, and must not choose
// for which branch it is taken.
func TestSource(t *testing.T) {
	const shop = "https://git.example.com/shop"
	for _, tt := range []struct {
		name, uri, repository, ref string // what the build was asked for
		from, at                   string
		refused                    bool
	}{
		{name: "repository and ref", uri: "git+" + shop + "@refs/heads/main", from: shop, at: "refs/heads/main"},
		{name: "as it was asked for", uri: "git+" + shop + "@refs/heads/main", repository: shop, ref: "refs/heads/main", from: shop, at: "refs/heads/main"},
		{name: "an @ in the branch", uri: "git+" + shop + "@refs/heads/wip@main", from: shop, at: "refs/heads/wip@main"},
		{name: "an @ in the branch that was asked for", uri: "git+" + shop + "@refs/heads/wip@main", repository: shop, ref: "refs/heads/wip@main", from: shop, at: "refs/heads/wip@main"},
		{name: "a branch that ends as a ref", uri: "git+" + shop + "@refs/heads/x@refs/heads/main", from: shop, at: "refs/heads/x@refs/heads/main"},
		{name: "a branch that ends as one, of a repository that is known", uri: "git+" + shop + "@refs/heads/x@refs/heads/main", repository: shop, ref: "refs/heads/x@refs/heads/main",
			from: shop, at: "refs/heads/x@refs/heads/main"},
		{name: "a branch that ends as one, and another that was asked for", uri: "git+" + shop + "@refs/heads/x@refs/heads/main", ref: "refs/heads/main", refused: true},
		{name: "a short branch that was asked for", uri: "git+" + shop + "@refs/heads/main", ref: "main", from: shop, at: "refs/heads/main"},
		{name: "a tag that was asked for", uri: "git+" + shop + "@refs/tags/v1", ref: "v1", from: shop, at: "refs/tags/v1"},
		{name: "HEAD", uri: "git+" + shop + "@refs/heads/main", ref: "HEAD", from: shop, at: "refs/heads/main"},
		{name: "another ref than was asked for", uri: "git+" + shop + "@refs/heads/main", ref: "refs/heads/wip", refused: true},
		{name: "the end of the ref that was asked for", uri: "git+" + shop + "@refs/heads/wip@main", ref: "main", refused: true},
		{name: "a short ref", uri: "git+" + shop + "@main", from: shop, at: "main"},
		{name: "a short ref with an @", uri: "git+" + shop + "@wip@main", refused: true},
		{name: "a short ref with an @ that was asked for", uri: "git+" + shop + "@wip@main", repository: shop, ref: "wip@main", from: shop, at: "wip@main"},
		{name: "a user", uri: "git+ssh://git@git.example.com/shop@refs/heads/main", from: "ssh://git@git.example.com/shop", at: "refs/heads/main"},
		{name: "a user and no ref", uri: "git+ssh://git@git.example.com/shop", from: "ssh://git@git.example.com/shop"},
		{name: "a user and a short ref", uri: "git+ssh://git@git.example.com/shop@main", from: "ssh://git@git.example.com/shop", at: "main"},
		{name: "a host that looks like a ref", uri: "git+ssh://git@refs/heads/main", from: "ssh://git@refs/heads/main"},
		{name: "a user and nothing else", uri: "git+ssh://git@host", from: "ssh://git@host"},
		{name: "as ssh has it", uri: "git+git@git.example.com:shop@refs/heads/main", from: "git@git.example.com:shop", at: "refs/heads/main"},
		{name: "as ssh has it, without a ref", uri: "git+git@git.example.com:shop", from: "git@git.example.com:shop"},
		{name: "a folder", uri: "git+/srv/git/shop@refs/heads/main", from: "/srv/git/shop", at: "refs/heads/main"},
		{name: "nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, at, err := source(tt.uri, tt.repository, tt.ref)
			if (err != nil) != tt.refused || from != tt.from || at != tt.at {
				t.Errorf("got %q at %q, %v", from, at, err)
			}
		})
	}
}
