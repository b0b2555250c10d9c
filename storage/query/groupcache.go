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
	created string
}

// Resolve returns the groups of a candidate list, oldest first. It asks fetch once for
// those it does not hold; a group deleted meanwhile is left out.
func (g *GroupCache) Resolve(scope dps.IDScope, list string, fetch func(groupKeys []string) ([]enrollment.Group, error)) ([]enrollment.Group, error) {
	if list == "" {
		return nil, nil
	}
	candidates := parseCandidates(scope.Fold(), list)
	held := make(map[string]*enrollment.Group, len(candidates))
	var missing []string
	for _, c := range candidates {
		if group, ok := g.groups.Get(c.groupVersion); ok {
			held[c.group] = group
		} else {
			missing = append(missing, c.group)
		}
	}
	if len(missing) > 0 {
		fresh, err := fetch(missing)
		if err != nil {
			return nil, err
		}
		for i := range fresh {
			key := dps.FoldASCII(fresh[i].ID)
			held[key] = &fresh[i]
			g.groups.Add(groupVersion{scope.Fold(), key, string(fresh[i].ETag)}, &fresh[i])
		}
	}
	return inOrder(candidates, held), nil
}

func inOrder(candidates []candidate, held map[string]*enrollment.Group) []enrollment.Group {
	out := make([]enrollment.Group, 0, len(candidates))
	for _, c := range candidates {
		if group := held[c.group]; group != nil {
			out = append(out, *group)
		}
	}
	return out
}

// parseCandidates splits a list and drops repetitions: a chain may meet two anchors
// of one group.
func parseCandidates(scopeKey, list string) []candidate {
	var out []candidate
	for part := range strings.SplitSeq(list, ",") {
		group, rest, _ := strings.Cut(part, " ")
		etag, created, _ := strings.Cut(rest, " ")
		c := candidate{groupVersion{scopeKey, group, etag}, created}
		if !slices.Contains(out, c) {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(micros(a.created), micros(b.created)), cmp.Compare(a.group, b.group))
	})
	return out
}

func micros(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64) // written by CandidateList
	return n
}

// FetchGroups reads groups by their keys, in one query.
func FetchGroups(ctx context.Context, tx Tx, c Codec, scope dps.IDScope, groupKeys []string) ([]enrollment.Group, error) {
	text, args := inList(selectGroups, scope.Fold(), groupKeys)
	return all(ctx, tx, text, args, c.scanGroup(scope))
}
