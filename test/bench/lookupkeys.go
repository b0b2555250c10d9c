package main

import (
	"context"
	"fmt"

	"github.com/zerotouch-dps/dps"
	"github.com/zerotouch-dps/dps/attestation"
	"github.com/zerotouch-dps/dps/enrollment"
	"github.com/zerotouch-dps/dps/internal/keyring"
	"github.com/zerotouch-dps/dps/registration"
	"github.com/zerotouch-dps/dps/storage"
)

// addKeyGroups makes a population of n symmetric-key groups without a prefix, each of which
// must be tried; devices come from all of them in turn. One is the plant's own.
func (c *census) addKeyGroups(ctx context.Context, n int) error {
	return c.addByKey(ctx, fmt.Sprintf("%d_key_groups", n), n, n-1, func(int) string { return "" })
}

// addPrefixedGroups makes a population of n symmetric-key groups that are found by the
// beginning of the ID.
func (c *census) addPrefixedGroups(ctx context.Context, n int) error {
	return c.addByKey(ctx, fmt.Sprintf("%d_prefixes", n), n, n, func(i int) string { return fmt.Sprintf("line%05d-", i) })
}

// addByKey makes n kinds of devices, by as many groups as are to be made.
func (c *census) addByKey(ctx context.Context, name string, n, groups int, prefix func(i int) string) error {
	keys := make([]dps.Secret, n)
	for i := range keys {
		var err error
		if keys[i], err = newKey(); err != nil {
			return err
		}
	}
	p, err := c.add(ctx, name, func(ctx context.Context, s storage.Store, _ string, _ *keyring.Ring) error {
		return each(groups, func(i int) error {
			return putGroup(ctx, s, fmt.Sprintf("keys-%d", i), attestation.GroupKey{Primary: keys[i], Secondary: keys[i]}, prefix(i))
		})
	})
	if err != nil {
		return err
	}
	if groups < n { // the plant has one of its own
		keys[groups] = p.plant.groupKey
	}
	p.ask = func(i int) registration.AdmitQuery {
		at := prefix(i % n)
		anchors := []enrollment.Anchor{enrollment.PrefixAnchor("")}
		if at != "" {
			anchors = append(anchors, enrollment.PrefixAnchor(at))
		}
		return registration.AdmitQuery{Scope: scopeID, ID: dps.RegistrationID(fmt.Sprintf("%sask-%d", at, i)), Anchors: anchors}
	}
	p.devices = func(round string, many int) ([]device, error) {
		out := make([]device, many)
		for i := range out {
			id := fmt.Sprintf("%s%s-%06d", prefix(i%n), round, i)
			key, err := attestation.DeriveDeviceKey(keys[i%n], id)
			if err != nil {
				return nil, err
			}
			if out[i], err = keyDevice(id, key); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return nil
}
