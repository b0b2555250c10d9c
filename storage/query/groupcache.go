package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/enrollment"
)

// GroupCacheSize is how many decoded groups are kept: a few KB each, and more than the
// 10,000 groups that admission must find as fast as one.
const GroupCacheSize = 16 << 10

// GroupCache keeps decoded groups by their version. A version is never stale: which
// one counts is read anew for each admission.
type GroupCache struct {
	groups *lru.Cache[groupVersion, *enrollment.Group]
}

type groupVersion struct{ scope, group, etag string }

// NewGroupCache makes an empty cache.
func NewGroupCache() (*GroupCache, error) {
	groups, err := lru.New[groupVersion, *enrollment.Group](GroupCacheSize)
	if err != nil {
		return nil, fmt.Errorf("make group cache: %w", err)
	}
	return &GroupCache{groups}, nil
}

// CandidateList is an SQL aggregate over group_anchor a of what [GroupCache.Resolve] takes.
const CandidateList = `string_agg(a.group_key || ' ' || a.etag || ' ' || a.created, ',')`

type candidate struct {
	groupVersion
	created int64
	held    *enrollment.Group // nil: it is not there (any more)
}

// Resolve returns the groups of a candidate list, oldest first. It asks fetch once for
// those it does not hold; a group deleted meanwhile is left out.
func (g *GroupCache) Resolve(scope dps.IDScope, list string, fetch func(groupKeys []string) ([]enrollment.Group, error)) ([]enrollment.Group, error) {
	if list == "" {
		return nil, nil
	}
	candidates := parseCandidates(scope.Fold(), list)
	var missing []string
	for i := range candidates {
		c, ok := &candidates[i], false
		if c.held, ok = g.groups.Get(c.groupVersion); !ok {
			missing = append(missing, c.group)
		}
	}
	if len(missing) > 0 {
		fresh, err := fetch(missing)
		if err != nil {
			return nil, err
		}
		g.hold(scope, candidates, fresh)
	}
	out := make([]enrollment.Group, 0, len(candidates))
	for _, c := range candidates {
		if c.held != nil {
			out = append(out, *c.held)
		}
	}
	return out, nil
}

// hold keeps fresh groups and puts them where they are wanted.
func (g *GroupCache) hold(scope dps.IDScope, candidates []candidate, fresh []enrollment.Group) {
	byKey := make(map[string]*enrollment.Group, len(fresh))
	for i := range fresh {
		key := dps.FoldASCII(fresh[i].ID)
		byKey[key] = &fresh[i]
		g.groups.Add(groupVersion{scope.Fold(), key, string(fresh[i].ETag)}, &fresh[i])
	}
	for i := range candidates {
		if candidates[i].held == nil {
			candidates[i].held = byKey[candidates[i].group]
		}
	}
}

// parseCandidates splits and orders a list, and drops repetitions: a chain may meet two
// anchors of one group.
func parseCandidates(scopeKey, list string) []candidate {
	out := make([]candidate, 0, strings.Count(list, ",")+1)
	for part := range strings.SplitSeq(list, ",") {
		group, rest, _ := strings.Cut(part, " ")
		etag, created, _ := strings.Cut(rest, " ")
		n, _ := strconv.ParseInt(created, 10, 64) // written by CandidateList
		out = append(out, candidate{groupVersion: groupVersion{scopeKey, group, etag}, created: n})
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.group, b.group))
	})
	return slices.CompactFunc(out, func(a, b candidate) bool { return a.groupVersion == b.groupVersion })
}

// FetchGroups reads groups by their keys, in one query.
func FetchGroups(ctx context.Context, tx Tx, c Codec, scope dps.IDScope, groupKeys []string) ([]enrollment.Group, error) {
	text, args := inList(selectGroups, scope.Fold(), groupKeys)
	return all(ctx, tx, text, args, c.scanGroup(scope))
}
