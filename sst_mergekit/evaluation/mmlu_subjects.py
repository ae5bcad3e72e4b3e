"""The 57 subjects of MMLU and their four domains, as lm-eval's own ``mmlu`` groups them."""

from __future__ import annotations

from types import MappingProxyType

DOMAINS = MappingProxyType(
    {
        "stem": (
            "abstract_algebra",
            "anatomy",
            "astronomy",
            "college_biology",
            "college_chemistry",
            "college_computer_science",
            "college_mathematics",
            "college_physics",
            "computer_security",
            "conceptual_physics",
            "electrical_engineering",
            "elementary_mathematics",
            "high_school_biology",
            "high_school_chemistry",
            "high_school_computer_science",
            "high_school_mathematics",
            "high_school_physics",
            "high_school_statistics",
            "machine_learning",
        ),
        "humanities": (
            "formal_logic",
            "high_school_european_history",
            "high_school_us_history",
            "high_school_world_history",
            "international_law",
            "jurisprudence",
            "logical_fallacies",
            "moral_disputes",
            "moral_scenarios",
            "philosophy",
            "prehistory",
            "professional_law",
            "world_religions",
        ),
        "social_sciences": (
            "econometrics",
            "high_school_geography",
            "high_school_government_and_politics",
            "high_school_macroeconomics",
            "high_school_microeconomics",
            "high_school_psychology",
            "human_sexuality",
            "professional_psychology",
            "public_relations",
            "security_studies",
            "sociology",
            "us_foreign_policy",
        ),
        "other": (
            "business_ethics",
            "clinical_knowledge",
            "college_medicine",
            "global_facts",
            "human_aging",
            "management",
            "marketing",
            "medical_genetics",
            "miscellaneous",
            "nutrition",
            "professional_accounting",
            "professional_medicine",
            "virology",
        ),
    }
)
DOMAIN_OF = MappingProxyType(
    {subject: domain for domain, subjects in DOMAINS.items() for subject in subjects}
)


def metrics_of(subject: str) -> tuple[str, ...]:
    """Return the names of the metrics of one subject and its domain; none for a subject not of MMLU.

    >>> metrics_of("astronomy"), metrics_of("knitting")
    (('acc_stem', 'acc_astronomy'), ())
    """
    domain = DOMAIN_OF.get(subject)
    return () if domain is None else (f"acc_{domain}", f"acc_{subject}")


ALL_METRICS = (*(f"acc_{domain}" for domain in DOMAINS), *(f"acc_{subject}" for subject in sorted(DOMAIN_OF)))
