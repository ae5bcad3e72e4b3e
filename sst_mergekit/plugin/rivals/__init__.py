"""The rivals as mergekit methods; a new one is a file here and its lines below."""

from sst_mergekit.plugin.rivals import (
    agl,
    dare_svd,
    fisher,
    knots,
    led,
    lox,
    mergealign,
    null_space,
    regmean,
    resta,
    safe_delta,
    safe_lora,
    safemerge,
)

RIVALS = (
    fisher.fisher,
    regmean.regmean,
    safemerge.safemerge,
    safe_lora.safe_lora,
    resta.resta,
    led.led,
    mergealign.mergealign,
    lox.lox,
    agl.agl,
    dare_svd.dare_svd,
    knots.knots,
    safe_delta.safe_delta_method,
    null_space.null_space_method,
)
# By method: the roles its models play, and the statistics that the models of some roles need ("": of all).
ROLES = {
    "safemerge": safemerge.ROLES,
    "safe_lora": safe_lora.ROLES,
    "resta": resta.ROLES,
    "mergealign": mergealign.ROLES,
    "lox": lox.ROLES,
    "agl": agl.ROLES,
    "safe_delta": safe_delta.ROLES,
    "null_space": null_space.ROLES,
}
STATISTICS = {
    "fisher": {"fisher": ""},
    "regmean": {"fisher": ""},
    "led": {"fisher": "", "fisher_base": ""},
    "agl": {"fisher": "safety"},
    "safe_delta": safe_delta.STATISTICS,
    "null_space": null_space.STATISTICS,
}
