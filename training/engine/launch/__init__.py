"""Configurations of `accelerate launch` for several GPUs.

Each GPU holds the whole base, which trains fastest where the base fits one of them:

    accelerate launch --config_file training/engine/launch/ddp.yaml \\
        --num_processes 4 -m training.engine RUN_FOLDER

Each GPU holds a part of a base in NF4, for one that does not fit; optimizer.name is then "adamw",
for paged and 8-bit ones are refused:

    accelerate launch --config_file training/engine/launch/fsdp_qlora.yaml \\
        --num_processes 4 -m training.engine RUN_FOLDER
"""
