"""The device plan: from GPUs and wishes to what vLLM and training are given. No GPU is needed."""

import pytest

from inference.devices import (
    Gpu,
    ImpossiblePlan,
    Wishes,
    in_sight,
    plan_devices,
    read_gpus,
)

GB = 1024


def cards(count: int, gigabytes: int = 80) -> list[Gpu]:
    return [Gpu(number, gigabytes * GB) for number in range(count)]


def seen(environment: object) -> str:
    assert isinstance(environment, dict)
    assert environment["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"
    return str(environment["CUDA_VISIBLE_DEVICES"])


def test_without_a_gpu_nothing_is_said_of_devices() -> None:
    plan = plan_devices([], Wishes())
    assert (plan.inference, plan.training, plan.note) == ((), (), "")
    assert plan.vllm_arguments == ()
    assert plan.vllm_environment == plan.training_environment == {}


def test_one_gpu_is_shared() -> None:
    plan = plan_devices(cards(1), Wishes())
    assert plan.vllm_arguments == ("--gpu-memory-utilization", "0.5")
    assert seen(plan.vllm_environment) == seen(plan.training_environment) == "0"
    assert plan.note == "vLLM takes 50% of GPU 0, training GPU 0"


def test_of_two_gpus_one_serves_and_one_trains() -> None:
    plan = plan_devices(cards(2), Wishes())
    assert plan.vllm_arguments == ("--gpu-memory-utilization", "0.9")
    assert (seen(plan.vllm_environment), seen(plan.training_environment)) == ("0", "1")


def test_of_eight_gpus_one_serves_and_seven_train() -> None:
    plan = plan_devices(cards(8), Wishes())
    assert seen(plan.vllm_environment) == "0"
    assert seen(plan.training_environment) == "1,2,3,4,5,6,7"
    assert "--tensor-parallel-size" not in plan.vllm_arguments


def test_a_model_is_split_over_the_gpus_that_are_named() -> None:
    plan = plan_devices(cards(8), Wishes(inference=(0, 1, 2, 3)))
    assert plan.vllm_arguments == (
        *("--gpu-memory-utilization", "0.9"),
        *("--tensor-parallel-size", "4"),
    )
    assert seen(plan.vllm_environment) == "0,1,2,3"
    assert seen(plan.training_environment) == "4,5,6,7"


def test_all_gpus_for_both_are_shared_by_both() -> None:
    plan = plan_devices(cards(2), Wishes(inference=(0, 1), training=(0, 1), share=0.4))
    assert plan.vllm_arguments[:2] == ("--gpu-memory-utilization", "0.4")
    assert plan.note == "vLLM takes 40% of GPUs 0, 1, training GPUs 0, 1"
    assert plan_devices(cards(2), Wishes(inference=(0, 1))).vllm_arguments[1] == "0.5"


def test_what_trains_is_left_alone_by_what_serves() -> None:
    plan = plan_devices(cards(2), Wishes(training=(0,)))
    assert (plan.inference, plan.training) == ((1,), (0,))


def test_arguments_of_ones_own_come_last_and_may_split_otherwise() -> None:
    wishes = Wishes(inference=(0, 1), arguments="--pipeline-parallel-size 2 --seed 1")
    assert plan_devices(cards(2), wishes).vllm_arguments == (
        *("--gpu-memory-utilization", "0.5"),
        *("--pipeline-parallel-size", "2", "--seed", "1"),
    )
    assert plan_devices([], Wishes(arguments="--seed 1")).vllm_arguments == ("--seed", "1")


def test_beside_servers_elsewhere_all_gpus_train() -> None:
    plan = plan_devices(cards(2), Wishes(serves=False))
    assert seen(plan.training_environment) == "0,1"
    assert plan.vllm_arguments == ()
    one = plan_devices(cards(2), Wishes(serves=False, training=(1,)))
    assert seen(one.training_environment) == "1"


@pytest.mark.parametrize(
    ("count", "wishes", "said"),
    [
        (0, Wishes(inference=(0,)), "INFERENCE_GPUS: this machine has no GPU"),
        (0, Wishes(training=(0,)), "TRAINING_GPUS: this machine has no GPU"),
        (1, Wishes(inference=(1,)), "INFERENCE_GPUS: there is no GPU 1; nvidia-smi shows 0"),
        (2, Wishes(training=(0, 2)), "TRAINING_GPUS: there is no GPU 2; nvidia-smi shows 0, 1"),
        (2, Wishes(inference=(0, 0)), "INFERENCE_GPUS: a GPU is named twice"),
        (1, Wishes(share=0.98), "leaves 1.6 GB, training needs 2 GB: lower it"),
        (1, Wishes(share=0.01), "is 0.8 GB, vLLM needs 2 GB: raise it"),
        (2, Wishes(inference=(0,), serves=False), "INFERENCE_GPUS: belongs to the local vLLM"),
        (2, Wishes(share=0.5, serves=False), "INFERENCE_GPU_SHARE: belongs to the local vLLM"),
        (0, Wishes(arguments="--x", serves=False), "VLLM_ARGS: belongs to the local vLLM"),
        (1, Wishes(arguments="--api-key=k"), "--api-key is set by Prefloop: give INFERENCE_API"),
        (1, Wishes(arguments="--gpu_memory_utilization 1"), "set INFERENCE_GPU_SHARE"),
    ],
)
def test_what_cannot_be_is_refused_in_words(count: int, wishes: Wishes, said: str) -> None:
    with pytest.raises(ImpossiblePlan) as caught:
        plan_devices(cards(count), wishes)
    assert said in str(caught.value)


def test_what_nvidia_smi_says() -> None:
    assert read_gpus("0, 24564\n1, 81559\n") == (Gpu(0, 24564), Gpu(1, 81559))
    assert read_gpus("\n") == ()


@pytest.mark.parametrize(
    ("visible", "left"),
    [(None, [0, 1, 2]), ("2,0", [0, 2]), ("", []), ("-1", []), ("GPU-8c2f", [0, 1, 2])],
)
def test_what_was_hidden_from_everything_stays_hidden(visible: str | None, left: list[int]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    found = in_sight(tuple(cards(3)), environment)
    assert [gpu.number for gpu in found] == left
