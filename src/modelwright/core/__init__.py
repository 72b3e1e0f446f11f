"""The ground floor: refs, ids, digests, errors, time, configuration, operations. Pure; imports none of ours."""
