"""The rivals as mergekit methods; a new one is a file here and its lines below."""

from sst_mergekit.plugin.rivals import (
    agl,
    dare_svd,
    fisher,
    knots,
    led,
    lox,
    mergealign,
    regmean,
    resta,
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
)
# By method: the roles its models play, and the statistics that the models of some roles need ("": of all).
ROLES = {
    "safemerge": safemerge.ROLES,
    "safe_lora": safe_lora.ROLES,
    "resta": resta.ROLES,
    "mergealign": mergealign.ROLES,
    "lox": lox.ROLES,
    "agl": agl.ROLES,
}
STATISTICS = {
    "fisher": {"fisher": ""},
    "regmean": {"fisher": ""},
    "led": {"fisher": "", "fisher_base": ""},
    "agl": {"fisher": "safety"},
}
